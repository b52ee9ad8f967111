package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

// askEvery is how often command looks whether the device has answered: an
// answer takes a sample's time and a round trip.
const askEvery = 100 * time.Millisecond

// commandFlags are the flags of atrium command.
type commandFlags struct {
	id             string
	expires        time.Duration
	noWait, asJSON bool
}

func newCommand(api *string) *cobra.Command {
	var f commandFlags
	cmd := &cobra.Command{
		Use:   "command SITE/DEVICE NAME [on|off|KEY=VALUE...]",
		Short: "Command a device and wait for its answer",
		Long: `command asks a device to do something, waits until it has, and says what confirms
it: a register or a sensor that was read, or nothing but what was driven (shadow,
assumed). on and off alone are the argument named on. The exit status is 0 only
if it was done. The same --id is the same command: asking again does nothing
twice.`,
		Example: "  atrium command hq/office-heater set on\n  atrium command hq/dimmer set level=40 ramp=2.5\n  atrium command hq/office-heater set off --expires 5m --no-wait",
		Args:    cobra.MinimumNArgs(2),
		RunE:    func(cmd *cobra.Command, args []string) error { return runCommand(cmd, *api, f, args) },
	}
	cmd.ValidArgsFunction = completeCommand(api)
	fl := cmd.Flags()
	fl.StringVar(&f.id, "id", "", "the command's id, 32 hexadecimal digits or a UUID (default: a new one)")
	fl.DurationVar(&f.expires, "expires", 30*time.Second, "how long it may still begin")
	fl.BoolVar(&f.noWait, "no-wait", false, "do not wait for the answer: status 0 once the request is durable")
	fl.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func runCommand(cmd *cobra.Command, api string, f commandFlags, args []string) error {
	dev, err := id.ParseDevice(args[0])
	if err != nil {
		return ops.Usage(err)
	}
	name, err := f.commandID()
	if err != nil {
		return ops.Usage(fmt.Errorf("--id: %w", err))
	}
	values, err := parseArgs(args[2:])
	if err != nil {
		return ops.Usage(err)
	}
	if f.expires < time.Millisecond {
		return ops.Usage(fmt.Errorf("--expires %s: want 1ms or more", f.expires))
	}
	c, err := client.New(api)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	req := client.CommandRequest{ID: name.String(), Command: args[1], Args: values, ExpiresMS: uint64(f.expires.Milliseconds()), By: os.Getenv("USER")}
	m, err := c.Send(ctx, dev, req)
	if err != nil {
		var answer *client.Error
		if errors.As(err, &answer) {
			return err
		}
		return fmt.Errorf("%w: whether it was taken is not known: ask again with --id %s", err, name)
	}
	if !f.noWait {
		if m, err = ended(ctx, c, dev.Site, name, m); err != nil {
			return fmt.Errorf("%w: atrium describe command %s/%s says what became of it", err, dev.Site, name)
		}
	}
	if f.asJSON {
		err = json.NewEncoder(cmd.OutOrStdout()).Encode(m)
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s\n", m.Device, call(m), outcome(m))
	}
	if err == nil && !f.noWait && m.State != "done" {
		return ops.ErrReported
	}
	return err
}

// commandID is the id that was given, or a new one: drawn here, so that asking
// again after a lost answer is the same command.
func (f commandFlags) commandID() (c id.Command, err error) {
	if f.id != "" {
		return id.ParseCommand(f.id)
	}
	_, err = rand.Read(c[:])
	return c, err
}

// ended waits until a command has ended. The node ends each: at the latest some
// time after it expires.
func ended(ctx context.Context, c *client.Client, site id.Site, name id.Command, m client.Command) (client.Command, error) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for !m.Ended() {
		select {
		case <-ctx.Done():
			return m, ctx.Err()
		case <-tick.C:
		}
		var err error
		if m, err = c.Command(ctx, site, name); err != nil {
			return m, err
		}
	}
	return m, nil
}

// parseArgs reads a command's arguments as they are typed.
func parseArgs(args []string) (map[string]any, error) {
	values := make(map[string]any, len(args))
	for _, a := range args {
		key, text, named := strings.Cut(a, "=")
		if !named {
			if a != "on" && a != "off" {
				return nil, fmt.Errorf("argument %q: want on, off or NAME=VALUE", a)
			}
			key, text = "on", a
		}
		if _, twice := values[key]; twice {
			return nil, fmt.Errorf("argument %q is given twice", key)
		}
		value, err := parseValue(text)
		if err != nil || key == "" {
			return nil, fmt.Errorf("argument %q: want NAME=on, NAME=off or NAME=NUMBER", a)
		}
		values[key] = value
	}
	return values, nil
}

func parseValue(text string) (any, error) {
	switch text {
	case "on", "true":
		return true, nil
	case "off", "false":
		return false, nil
	}
	return strconv.ParseFloat(text, 64)
}

// call is a command as it is typed.
func call(m client.Command) string {
	text := m.Command
	for _, key := range slices.Sorted(maps.Keys(m.Args)) {
		value := fmt.Sprint(m.Args[key])
		if on, is := m.Args[key].(bool); is {
			value = map[bool]string{true: "on", false: "off"}[on]
		}
		if key == "on" && len(m.Args) == 1 {
			return text + " " + value
		}
		text += " " + key + "=" + value
	}
	return text
}

// outcome is what became of a command.
func outcome(m client.Command) string {
	text := m.State
	if m.ConfirmedBy != "" {
		text += ", confirmed by " + m.ConfirmedBy
	}
	if m.Text != "" {
		text += ": " + m.Text
	}
	return text
}
