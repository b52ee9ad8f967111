// Package demo raises a whole Atrium on this machine, for a person who has none
// yet: a cloud node, and in each of two sites a simulated board, a link relay
// and a gateway, every one a process of its own with the same programs that run
// in the field. It does to them what happens there (cut links, kills, broken
// sensors), starts again what died, as a service manager would, and collects
// what a screen shows.
//
//	plant.Write -> processes -> catalog documents -> feed -> Picture -> a screen
//	                   ^---- actions: cut, heal, kill, break, switch ----'
//
// What is shown, and how, is package screen's; the processes do not know that
// they are a demonstration.
package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
	"github.com/atrium-iot/atrium/cloud/demo/process"
)

// defaultHTTP is where the command line looks for a cloud node.
const defaultHTTP = "127.0.0.1:7480"

// Programs are what a demonstration runs, by their file names.
func Programs() []string { return []string{"atrium-cloud", "atrium-edge", "atrium-sim"} }

// Config says where the programs are and where they write.
type Config struct {
	Bin  string // folder with Programs
	Dir  string // everything that the processes write
	HTTP string // the cloud node's HTTP address; empty, or taken: a free port
	// State is the file that says what runs; empty: StateFile.
	State string
}

// Demo is a running demonstration. Its methods may be called from several
// goroutines.
type Demo struct {
	cfg   Config
	api   *client.Client
	cloud *member
	sites []*site

	state sync.Mutex // guards the state file
}

// site is what stands in one site.
type site struct {
	plant.Site
	board, link, gateway *member
	linkURL, faultURL    string
	truth                string
}

// Start raises everything and applies the catalog's documents. After an error
// what was raised is ended.
func Start(ctx context.Context, cfg Config, say func(string)) (_ *Demo, err error) {
	for _, name := range Programs() {
		if _, err := os.Stat(filepath.Join(cfg.Bin, name)); err != nil {
			return nil, fmt.Errorf("demo: %w: the programs must lie together; `make demo` builds them", err)
		}
	}
	if cfg.State == "" {
		cfg.State = StateFile()
	}
	d := &Demo{cfg: cfg}
	if err := d.claim(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Stop())
		}
	}()
	if err := d.prepare(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := d.raise(ctx, say); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	say("applying the catalog: rooms and pipelines")
	if err := d.apply(ctx); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if err := d.writeState(); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	for _, m := range d.members() {
		m.supervise(d.restarted)
	}
	return d, nil
}

// prepare chooses addresses, writes the files and makes the processes.
func (d *Demo) prepare() error {
	sites := plant.Sites()
	udp, tcp, err := process.FreePorts(1+len(sites), 1+3*len(sites))
	if err != nil {
		return err
	}
	gate := udp[0]
	web, err := webAddress(d.cfg.HTTP, tcp[0])
	if err != nil {
		return err
	}
	if d.api, err = client.New("http://" + web); err != nil {
		return err
	}
	at := make(map[string]plant.Addresses, len(sites))
	for i, s := range sites {
		at[s.Name] = plant.Addresses{Link: udp[1+i], HTTP: tcp[1+3*i]}
	}
	if err := plant.Write(d.cfg.Dir, at); err != nil {
		return err
	}
	d.cloud = d.member("cloud", "atrium-cloud", web, "run", "--data", d.data(), "--listen", gate, "--http", web, "--name", "n1")
	for i, s := range sites {
		d.sites = append(d.sites, d.site(s, at[s.Name], gate, tcp[2+3*i], tcp[3+3*i]))
	}
	return nil
}

// webAddress returns the wanted address, with a port where it left that open,
// or free if it is taken.
func webAddress(want, free string) (string, error) {
	if want == "" {
		return free, nil
	}
	l, err := net.Listen("tcp", want)
	if errors.Is(err, syscall.EADDRINUSE) {
		return free, nil
	}
	if err != nil {
		return "", fmt.Errorf("the HTTP address: %w", err)
	}
	return l.Addr().String(), l.Close()
}

func (d *Demo) site(s plant.Site, at plant.Addresses, gate, link, faults string) *site {
	folder := plant.Folder(d.cfg.Dir, s.Name)
	in := func(name string) string { return filepath.Join(folder, name) }
	return &site{
		Site: s, truth: in("truth.jsonl"), linkURL: "http://" + link, faultURL: "http://" + faults,
		board: d.member(s.Name+"-board", "atrium-sim", "", "board", "--socket", in("board.sock"), "--config", in("board.yaml"),
			"--truth", in("truth.jsonl"), "--control", faults),
		link:    d.member(s.Name+"-link", "atrium-sim", "", "link", "--listen", at.Link, "--to", gate, "--control", link),
		gateway: d.member(s.Name+"-gateway", "atrium-edge", at.HTTP, "run", "--config", in("edge.yaml")),
	}
}

func (d *Demo) member(name, program, httpAddr string, args ...string) *member {
	cfg := process.Config{Name: name, Args: append([]string{filepath.Join(d.cfg.Bin, program)}, args...), Log: filepath.Join(d.cfg.Dir, name+".log")}
	if httpAddr != "" {
		cfg.HTTP = "http://" + httpAddr
	}
	return &member{process: process.New(cfg), program: cfg.Args[0]}
}

func (d *Demo) data() string { return filepath.Join(d.cfg.Dir, "cloud") }

// raise starts the processes, those that do not wait for each other at once.
func (d *Demo) raise(ctx context.Context, say func(string)) error {
	say("starting the cloud node, two boards and two links")
	first, starting := errgroup.WithContext(ctx)
	first.Go(func() error { return d.cloud.start(starting) })
	for _, s := range d.sites {
		first.Go(func() error { return s.board.start(starting) })
		first.Go(func() error { return s.link.start(starting) })
	}
	if err := first.Wait(); err != nil {
		return err
	}
	say("issuing identities and starting two gateways")
	second, starting := errgroup.WithContext(ctx)
	for _, s := range d.sites {
		second.Go(func() error {
			if err := d.issue(starting, s.Gateway, filepath.Join(plant.Folder(d.cfg.Dir, s.Name), "identity")); err != nil {
				return err
			}
			return s.gateway.start(starting)
		})
	}
	return second.Wait()
}

func (d *Demo) issue(ctx context.Context, gateway, folder string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(d.cfg.Bin, "atrium-cloud"), "issue", "gateway", gateway, "--data", d.data(), "--out", folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("issue %s: %w\n%s", gateway, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// API is the cloud node's address, which also serves the web page.
func (d *Demo) API() string { return d.cloud.process.URL() }

// Client calls the cloud node.
func (d *Demo) Client() *client.Client { return d.api }

// Truths are the boards' files of delivered numbers, for verify.
func (d *Demo) Truths() []string {
	var all []string
	for _, s := range d.sites {
		all = append(all, s.truth)
	}
	return all
}

// Hint is a command that looks at the demonstration from another terminal.
func (d *Demo) Hint() string {
	if d.API() == "http://"+defaultHTTP {
		return "atrium get rooms hq"
	}
	return "atrium --api " + d.API() + " get rooms hq"
}

// members lists the processes, in the order in which they are stopped: what
// sends first.
func (d *Demo) members() []*member {
	var all []*member
	for _, s := range d.sites {
		if s != nil {
			all = append(all, s.gateway, s.link, s.board)
		}
	}
	if d.cloud != nil {
		all = append(all, d.cloud)
	}
	return all
}

// Settle waits until every process runs, heals the links, and then stops the
// gateways cleanly: they drain what they hold.
func (d *Demo) Settle(ctx context.Context) error {
	for _, m := range d.members() {
		if err := m.await(ctx); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	for i := range d.sites {
		if err := d.HealLink(i); err != nil {
			return err
		}
	}
	var g errgroup.Group
	for _, s := range d.sites {
		g.Go(s.gateway.stop)
	}
	return g.Wait()
}

// Stop ends everything that still runs.
func (d *Demo) Stop() error {
	var err error
	for _, m := range d.members() {
		err = errors.Join(err, m.stop())
	}
	return errors.Join(err, d.removeState()) // last: what is started again on the way writes it
}
