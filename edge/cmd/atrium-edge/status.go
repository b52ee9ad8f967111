package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/edge/buffer"
)

func newStatus() *cobra.Command {
	var addr string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show how a running gateway is",
		Long:    "status asks a running agent over its http address: the link, what was sampled and is safe, what waits for the cloud.",
		Example: "  atrium-edge status\n  atrium-edge status --http 127.0.0.1:7481 --json | jq .buffer",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := agent.FetchStatus(cmd.Context(), addr)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
			}
			return printStatus(cmd.OutOrStdout(), &s)
		},
	}
	cmd.Flags().StringVar(&addr, "http", "127.0.0.1:7481", "the gateway's http address, as in its edge.yaml")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printStatus(out io.Writer, s *agent.Status) error {
	link := "not connected"
	if s.Connected {
		link = "connected to " + s.Cloud
	}
	eta := "not known"
	if s.DrainETA != nil {
		eta = (time.Duration(*s.DrainETA) * time.Millisecond).String()
	}
	if s.DrainRate > 0 {
		eta += fmt.Sprintf(", at %.0f bytes a second", s.DrainRate)
	}
	if s.Starved {
		link += ", which takes less than is sampled"
	}
	thinned := ""
	if p := s.Buffer.Pressure; p != "" && p != buffer.PressureNone.String() {
		thinned = ", pressure " + p + ": rows are thinned"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"gateway", fmt.Sprintf("%s, %d devices, mode %s", s.Gateway, s.Devices, s.Mode)},
		{"link", fmt.Sprintf("%s, %d bytes sent", link, s.SentBytes)},
		{"readings", fmt.Sprintf("%d sampled, %d committed, %d acked, %d dropped", s.Sampled, s.Committed, s.Acked, s.Dropped)},
		{"buffer", fmt.Sprintf("%d readings in %d frames, oldest %s, %d bytes, %d on disk%s", s.Buffer.Readings, s.Buffer.Frames, time.Duration(s.Buffer.OldestAge)*time.Millisecond, s.Buffer.Bytes, s.Buffer.DiskBytes, thinned)},
		{"drained in", eta},
		{"commands", fmt.Sprintf("%d ended, %d results unsettled", s.Commands.Executed, s.Commands.Unsettled)},
	} {
		if _, err := fmt.Fprintf(w, "%s\t%s\n", row[0], row[1]); err != nil {
			return err
		}
	}
	return w.Flush()
}
