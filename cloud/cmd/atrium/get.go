package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/ops"
)

func newGet(api *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "get KIND [SITE|NAME]",
		Short: "List sites, gateways, devices, rooms, pipelines, alarms and more",
		Long: `get lists what there is of a kind (` + strings.Join(kindNames(), ", ") + `), of
all sites, of one, or the one of that name: what the sites know live, beside
title and revision of its document in the catalog. With -o yaml, kinds that have
documents are printed as apply reads them.`,
		Example: "  atrium get devices hq\n  atrium get rooms\n  atrium get alarms -o json | jq '.[].state.text'\n  atrium get room hq/kitchen -o yaml > kitchen.yaml\n  atrium get pipelines -o name",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := parseKind(args[0])
			if err != nil {
				return err
			}
			print, known := outputs(k)[output]
			if !known {
				return ops.Usage(fmt.Errorf("-o %s: want table, yaml, json or name", output))
			}
			c, err := client.New(*api)
			if err != nil {
				return err
			}
			all, err := k.find(cmd.Context(), c, strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			warnStale(cmd, c)
			return print(cmd.OutOrStdout(), all)
		},
	}
	cmd.ValidArgsFunction = completeEntity(api)
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, yaml, json or name")
	return cmd
}

// warnStale says if what is printed may be old.
func warnStale(cmd *cobra.Command, c *client.Client) {
	if why := c.Stale(); why != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "the node that answered is cut off: %s\n", why)
	}
}

// outputs are the ways to print entities of a kind.
func outputs(k kind) map[string]func(io.Writer, []entity) error {
	yaml := printStates
	if k.document != "" {
		yaml = printDocuments
	}
	return map[string]func(io.Writer, []entity) error{
		"table": k.printTable, "yaml": yaml, "json": printJSON, "name": printNames,
	}
}

func (k kind) printTable(out io.Writer, all []entity) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	head := append([]string{strings.ToUpper(k.name)}, k.columns...)
	if k.document != "" {
		head = append(head, "REVISION", "TITLE")
	}
	fmt.Fprintln(w, strings.Join(head, "\t"))
	for _, e := range all {
		row := slices.Repeat([]string{"-"}, len(k.columns)) // nothing is known live
		if e.State != nil {
			row = k.row(e.State)
		}
		row = append([]string{e.Name}, row...)
		if e.Document != nil {
			row = append(row, fmt.Sprint(e.Document.Revision), e.title())
		} else if k.document != "" {
			row = append(row, "-", "")
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// printDocuments prints what apply reads; what has no document is left out.
func printDocuments(out io.Writer, all []entity) error {
	all = slices.DeleteFunc(slices.Clone(all), func(e entity) bool { return e.Document == nil })
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		if _, err := fmt.Fprintln(out, strings.TrimSuffix(e.Document.Text, "\n")); err != nil {
			return err
		}
	}
	return nil
}

func printStates(out io.Writer, all []entity) error {
	for i, e := range all {
		if i > 0 {
			fmt.Fprintln(out, "---")
		}
		text, err := json.Marshal(e.State)
		if err != nil {
			return err
		}
		if text, err = config.FromJSON(text); err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func printJSON(out io.Writer, all []entity) error {
	if all == nil {
		all = []entity{} // [], not null
	}
	return json.NewEncoder(out).Encode(all)
}

// printNames prints what describe takes.
func printNames(out io.Writer, all []entity) error {
	for _, e := range all {
		if _, err := fmt.Fprintln(out, e.Kind, e.Name); err != nil {
			return err
		}
	}
	return nil
}
