package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/profile"
	"github.com/atrium-iot/atrium/shared/wire"
)

const (
	// maxCommand bounds a request for a command, in bytes: sixteen args with the
	// longest names take 2 KiB.
	maxCommand = 16 << 10
	// intentTimeout bounds how long an intent may take to be durable.
	intentTimeout = 10 * time.Second

	defaultExpiry = 30 * time.Second
	// minExpiry is less than a command takes on any link: a lower one can only
	// be a mistake in the unit.
	minExpiry = 100 * time.Millisecond
	maxExpiry = wire.MaxRemaining * time.Millisecond
)

// commands are the endpoints of commands to devices.
type commands struct {
	views Views
	// profile returns a firmware profile of the catalog by its id.
	profile func(name string) (*profile.Profile, bool)
}

func registerCommands(a huma.API, c *commands) {
	const path = "/v1/sites/{site}/commands"
	add(a, "list-commands", path, "The commands of a site that have not ended, and the latest that have, oldest first", c.list)
	add(a, "get-command", path+"/{command}", "A command", c.get)
	huma.Register(a, huma.Operation{
		OperationID: "send-command", Method: http.MethodPost, Path: "/v1/sites/{site}/devices/{device}/commands",
		Summary:       "Ask for a command to a device",
		Description:   "The answer comes when the request is durable, not when the device has done it: get-command and the stream say what becomes of it. Asking again with the same id is the same command.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: maxCommand,
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable,
		},
	}, c.send)
}

func (c *commands) list(ctx context.Context, in *siteInput) (*body[client.Page[client.Command]], error) {
	place := func(c client.Command) string { return fmt.Sprintf("%020d.%s", c.IssuedAt.UnixMicro(), c.ID) }
	ask := func(ctx context.Context, site id.Site) ([]client.Command, error) {
		all, err := c.views.Commands(ctx, site)
		slices.SortFunc(all, func(a, b client.Command) int { return strings.Compare(place(a), place(b)) })
		return all, err
	}
	return listed(ctx, in, ask, place)
}

// CommandPath names a command.
type CommandPath struct {
	Site    string `path:"site" maxLength:"63"`
	Command string `path:"command" maxLength:"36" doc:"Its id: 32 hexadecimal digits or a UUID."`
}

func (c *commands) get(ctx context.Context, in *CommandPath) (*body[client.Command], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	command, err := id.ParseCommand(in.Command)
	if err != nil {
		return nil, badParameter("path.command", in.Command, err)
	}
	out, err := c.views.Command(ctx, site, command)
	if err != nil {
		return nil, answered(err, "command "+command.String(), "/v1/sites/"+in.Site+"/commands")
	}
	return ok(out), nil
}

type commandInput struct {
	DevicePath
	Body client.CommandRequest
}

func (c *commands) send(ctx context.Context, in *commandInput) (*body[client.Command], error) {
	dev, err := parseDevice(in.Site, in.Device)
	if err != nil {
		return nil, err
	}
	intent, err := intentOf(dev, &in.Body, time.Now())
	if err != nil {
		return nil, err
	}
	known, err := c.views.Command(ctx, dev.Site, intent.ID)
	switch {
	case err == nil:
		return same(known, dev, &in.Body)
	case !errors.Is(err, ErrNotFound):
		return nil, answered(err, "command "+intent.ID.String(), "")
	}
	if err := c.check(ctx, dev, &intent); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, intentTimeout)
	defer cancel()
	out, err := c.views.Intend(ctx, dev.Site, intent)
	switch {
	case err == nil:
		return same(out, dev, &in.Body)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrUnavailable):
		return nil, huma.Error503ServiceUnavailable(fmt.Sprintf("not known to be durable, and perhaps it is (%v): ask again with \"id\": \"%s\"", err, intent.ID))
	}
	return nil, answered(err, "command to "+dev.String(), "")
}

// same answers with the command that has the request's id, if it is the one
// that was asked for.
func same(c client.Command, dev id.Device, req *client.CommandRequest) (*body[client.Command], error) {
	if c.Device != dev.String() || c.Command != req.Command || !maps.Equal(c.Args, req.Args) {
		return nil, huma.Error409Conflict(fmt.Sprintf("id %s is another command, %s to %s: draw a new id", c.ID, c.Command, c.Device))
	}
	return ok(c), nil
}

// intentOf makes an intent of a request, whatever the device is.
func intentOf(dev id.Device, req *client.CommandRequest, now time.Time) (in journal.Intent, err error) {
	in = journal.Intent{Device: dev.Name, Name: req.Command, By: req.By, Issued: now.UnixMicro()}
	if req.ID == "" {
		rand.Read(in.ID[:]) // never fails
	} else if in.ID, err = id.ParseCommand(req.ID); err != nil {
		return in, unprocessable("body.id", req.ID, err)
	}
	if _, err := id.ParsePoint(req.Command); err != nil {
		return in, unprocessable("body.command", req.Command, err)
	}
	if len(req.By) > wire.MaxText {
		return in, unprocessable("body.by", req.By, fmt.Errorf("%d bytes, at most %d", len(req.By), wire.MaxText))
	}
	if in.Args, err = argsOf(req.Args); err != nil {
		return in, err
	}
	expires := defaultExpiry
	if req.ExpiresMS != 0 {
		expires = time.Duration(min(req.ExpiresMS, wire.MaxRemaining+1)) * time.Millisecond
	}
	if expires < minExpiry || expires > maxExpiry {
		return in, unprocessable("body.expires_ms", req.ExpiresMS, fmt.Errorf("want %d to %d: %v to 7 days", minExpiry.Milliseconds(), maxExpiry.Milliseconds(), minExpiry))
	}
	in.Deadline = now.Add(expires).UnixMicro()
	return in, nil
}

// argsOf returns the args by name.
func argsOf(given map[string]any) (args []wire.Arg, err error) {
	if len(given) > wire.MaxArgs {
		return nil, unprocessable("body.args", len(given), fmt.Errorf("%d of them, at most %d", len(given), wire.MaxArgs))
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		where := "body.args." + name
		if _, err := id.ParsePoint(name); err != nil {
			return nil, unprocessable(where, name, err)
		}
		arg := wire.Arg{Name: name, Value: wire.Value{Kind: wire.KindNumber}}
		switch v := given[name].(type) {
		case float64: // JSON has no other numbers, and these are finite
			arg.Value.Number = v
		case bool:
			if arg.Value.Kind = wire.KindBoolean; v {
				arg.Value.Number = 1
			}
		default:
			return nil, unprocessable(where, v, errors.New("want true, false or a number"))
		}
		args = append(args, arg)
	}
	return args, nil
}

// check refuses early what the site or the gateway would refuse later. A device
// whose profile the catalog does not have is the gateway's to judge.
func (c *commands) check(ctx context.Context, dev id.Device, in *journal.Intent) error {
	d, err := c.views.Device(ctx, dev)
	if err != nil {
		return answered(err, "device "+dev.String(), "/v1/sites/"+string(dev.Site)+"/devices")
	}
	if d.Gateway == "" {
		return huma.Error409Conflict(fmt.Sprintf("device %s hangs on no gateway: a gateway that has it in its configuration must connect first", dev))
	}
	p, known := c.profile(d.Profile)
	if !known {
		return nil
	}
	command, has := p.Command(in.Name)
	if !has {
		var names []string
		for i := range p.Commands {
			names = append(names, p.Commands[i].Name)
		}
		can := "has no commands"
		if len(names) > 0 {
			can = "has " + strings.Join(names, ", ")
		}
		return unprocessable("body.command", in.Name, fmt.Errorf("profile %s %s, in the catalog's version %d", d.Profile, can, p.Version))
	}
	if _, err := command.Bind(in.Args); err != nil {
		return unprocessable("body.args", nil, fmt.Errorf("%w (profile %s, the catalog's version %d)", err, d.Profile, p.Version))
	}
	return nil
}

// unprocessable is a 422 that names a place of the body.
func unprocessable(where string, value any, err error) error {
	return huma.Error422UnprocessableEntity(fmt.Sprintf("%s: %v", where, err), &huma.ErrorDetail{Location: where, Message: err.Error(), Value: value})
}
