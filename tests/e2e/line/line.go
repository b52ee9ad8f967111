// Package line raises the whole line of Atrium as real processes on this
// machine: a cloud node, simulated boards, link relays and gateways, each with
// its own folder and log, and waits until they say that they are ready. What is
// then done to them and asked of them is its callers' affair.
package line

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/cloud/verify"
	"github.com/atrium-iot/atrium/simulator/link"
)

// Config says what to raise.
type Config struct {
	Bin      string   // folder with atrium, atrium-cloud, atrium-edge, atrium-sim
	Dir      string   // everything that the processes write
	Data     string   // folder of the cloud node; empty: one in Dir
	Edge     []string // runs the gateways' agent; empty: Bin's atrium-edge
	Gateways []Gateway
	Cloud    *Cloud // nil: the line raises one node
}

// Cloud is one that the caller raised, and ends. Its gateways have no links.
type Cloud struct {
	API   string   // HTTP base of a node
	Data  string   // folder with the cluster's authority
	Gates []string // where gateways reach the nodes
}

// Gateway is one gateway with its own site, board and link.
type Gateway struct {
	Site     string
	Mode     string // spill or always
	Counters int    // counter chips at 20 Hz, deadband 0: the independent truth
	Sensors  int    // TMP102 and BME280 chips at 1 Hz, alternately
	Relays   int    // at GPIO lines, r1 and on; up to 8
	Climate  bool   // all sensors are BME280 with deadband 0: each sample makes three readings

	Folder   string   // in the line's, and the name of its processes; empty: Site
	Identity string   // folder of an identity that it shares; empty: one is issued
	State    string   // folder; empty: one in Folder
	Edge     []string // runs this agent in place of the line's
	First    int      // its counters are c1 and on after so many
	Keys     string   // further lines of edge.yaml
	Buffer   string   // further keys of its buffer, such as ", limit: 1MiB"
}

// Line is a raised line.
type Line struct {
	Cloud *process.Process // nil if the caller raised it
	Sites []*Site
	Gate  string // the cloud node's UDP address for gateways
	cfg   Config
}

// Site is what stands in one site.
type Site struct {
	Name    string // of the site
	State   string // the gateway's state folder
	Board   *process.Process
	Link    *process.Process // nil in a line without links
	Gateway *process.Process
	Truth   string
	control string
}

// Start raises the cloud node, then each site's board, link and gateway.
func Start(ctx context.Context, cfg Config) (*Line, error) {
	l := &Line{cfg: cfg}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("line: %w", err)
	}
	if cfg.Cloud == nil {
		if err := l.startCloud(ctx); err != nil {
			return l, err
		}
	}
	for _, g := range cfg.Gateways {
		if _, err := l.Raise(ctx, g); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *Line) startCloud(ctx context.Context) error {
	udp, tcp, err := process.FreePorts(1, 1)
	if err != nil {
		return err
	}
	httpAddr := tcp[0]
	l.Gate = udp[0]
	l.Cloud = l.process("cloud", l.bin("atrium-cloud"), httpAddr, "run", "--data", l.Data(), "--listen", l.Gate, "--http", httpAddr)
	return l.Cloud.Start(ctx)
}

// API is the HTTP base of the cloud.
func (l *Line) API() string {
	if l.cfg.Cloud != nil {
		return l.cfg.Cloud.API
	}
	return l.Cloud.URL()
}

// Raise adds a gateway with its board and link.
func (l *Line) Raise(ctx context.Context, g Gateway) (*Site, error) {
	s, err := l.raise(ctx, g)
	l.Sites = append(l.Sites, s)
	return s, err
}

func (l *Line) process(name string, program []string, httpAddr string, args ...string) *process.Process {
	cfg := process.Config{Name: name, Args: slices.Concat(program, args), Log: filepath.Join(l.cfg.Dir, name+".log")}
	if httpAddr != "" {
		cfg.HTTP = "http://" + httpAddr
	}
	return process.New(cfg)
}

// bin is one of the programs.
func (l *Line) bin(name string) []string { return []string{filepath.Join(l.cfg.Bin, name)} }

// Data is the folder of the cloud node, or of one of several.
func (l *Line) Data() string {
	if l.cfg.Cloud != nil {
		return l.cfg.Cloud.Data
	}
	return cmp.Or(l.cfg.Data, filepath.Join(l.cfg.Dir, "cloud"))
}

// Issue writes the identity of a gateway, SITE/NAME, into a folder.
func (l *Line) Issue(ctx context.Context, gateway, folder string) error {
	return l.Run(ctx, "atrium-cloud", "issue", "gateway", gateway, "--data", l.Data(), "--out", folder)
}

func (l *Line) raise(ctx context.Context, g Gateway) (*Site, error) {
	name := cmp.Or(g.Folder, g.Site)
	dir := filepath.Join(l.cfg.Dir, name)
	s := &Site{Name: g.Site, State: cmp.Or(g.State, filepath.Join(dir, "state")), Truth: filepath.Join(dir, "truth.jsonl")}
	udp, tcp, err := process.FreePorts(1, 2)
	if err != nil {
		return s, err
	}
	linkUDP, control, edgeHTTP := udp[0], tcp[0], tcp[1]
	gates := []string{linkUDP}
	if l.cfg.Cloud != nil {
		gates = l.cfg.Cloud.Gates
	}
	socket := filepath.Join(dir, "board.sock")
	boardFile, edgeFile := filepath.Join(dir, "board.yaml"), filepath.Join(dir, "edge.yaml")
	certs := cmp.Or(g.Identity, filepath.Join(dir, "certs"))
	if err := errors.Join(
		write(boardFile, g.BoardYAML()),
		write(edgeFile, g.EdgeYAML(Place{State: s.State, Identity: certs, Board: socket, Cloud: gates, HTTP: edgeHTTP})),
	); err != nil {
		return s, err
	}
	if g.Identity == "" {
		if err := l.Issue(ctx, g.Name(), certs); err != nil {
			return s, err
		}
	}
	edge := g.Edge
	if len(edge) == 0 {
		edge = l.cfg.Edge
	}
	if len(edge) == 0 {
		edge = l.bin("atrium-edge")
	}
	s.Board = l.process(name+"-board", l.bin("atrium-sim"), "", "board", "--socket", socket, "--config", boardFile, "--truth", s.Truth)
	if l.cfg.Cloud == nil {
		s.control = "http://" + control
		s.Link = l.process(name+"-link", l.bin("atrium-sim"), "", "link", "--listen", linkUDP, "--to", l.Gate, "--control", control)
	}
	s.Gateway = l.process(name+"-gateway", edge, edgeHTTP, "run", "--config", edgeFile)
	for _, p := range []*process.Process{s.Board, s.Link, s.Gateway} {
		if p == nil {
			continue
		}
		if err := p.Start(ctx); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Run executes one of the programs to its end.
func (l *Line) Run(ctx context.Context, bin string, args ...string) error {
	out, err := l.Output(ctx, bin, args...)
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", bin, strings.Join(args, " "), err, out)
	}
	return nil
}

// Output executes one of the programs and returns what it printed.
func (l *Line) Output(ctx context.Context, bin string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(l.cfg.Bin, bin), args...).CombinedOutput()
	return string(out), err
}

// LinkState is what the site's link says of itself.
func (s *Site) LinkState(ctx context.Context) (link.State, error) {
	var state link.State
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.control+"/state", nil)
	if err != nil {
		return state, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return state, fmt.Errorf("link of %s: %w", s.Name, err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&state); err != nil {
		return state, fmt.Errorf("link of %s: state: %w", s.Name, err)
	}
	return state, nil
}

// LinkURL is the HTTP base of the site's link: GET /state has its counters.
func (s *Site) LinkURL() string { return s.control }

// Verify runs atrium verify against the truth of all sites, waiting that long
// for what is under way. It returns the report, and the same as a person sees
// it; an error if anything is wrong.
func (l *Line) Verify(ctx context.Context, wait string) (verify.Report, string, error) {
	text, err := l.Output(ctx, "atrium", l.verifyArgs(wait)...)
	if err != nil {
		return verify.Report{}, text, fmt.Errorf("verify: %w\n%s", err, text)
	}
	report, findings, err := l.Report(ctx, wait)
	if err == nil && len(findings) > 0 {
		err = fmt.Errorf("verify: %s", strings.Join(findings, "\n"))
	}
	return report, text, err
}

// Report is Verify for a caller that judges by itself: what is wrong comes as
// lines, and without them in the report.
func (l *Line) Report(ctx context.Context, wait string) (_ verify.Report, findings []string, _ error) {
	cmd := exec.CommandContext(ctx, filepath.Join(l.cfg.Bin, "atrium"), append(l.verifyArgs(wait), "--json")...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output() // status 1 is also for findings
	var report struct {
		verify.Report
		Findings []string `json:"findings"` // they have a text and no parser
	}
	if broken := json.Unmarshal(out, &report); broken != nil {
		return verify.Report{}, nil, fmt.Errorf("verify: %w\n%s%s", errors.Join(err, broken), out, stderr.String())
	}
	return report.Report, report.Findings, nil
}

func (l *Line) verifyArgs(wait string) []string {
	args := []string{"verify", "--api", l.API(), "--wait", wait}
	for _, s := range l.Sites {
		args = append(args, "--truth", s.Truth)
	}
	return args
}

// Cut stops every packet of the site's link in both directions; Heal ends that.
func (s *Site) Cut() error  { return s.Set("/cut") }
func (s *Site) Heal() error { return s.Set("/heal") }

// Set changes the link by a path of its control, such as /drop?percent=5.
func (s *Site) Set(path string) error {
	resp, err := http.Post(s.control+path, "", nil)
	if err != nil {
		return fmt.Errorf("link of %s: %w", s.Name, err)
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("link of %s: %s: %s", s.Name, path, resp.Status)
	}
	return nil
}

// StopGateways ends the gateways cleanly, all at once.
func (l *Line) StopGateways() error {
	errs := make(chan error)
	for _, s := range l.Sites {
		go func() { errs <- s.Gateway.Stop() }()
	}
	var err error
	for range l.Sites {
		err = errors.Join(err, <-errs)
	}
	return err
}

// Stop ends everything that still runs, gateways first.
func (l *Line) Stop() error {
	var rest []*process.Process
	for _, s := range l.Sites {
		for _, p := range []*process.Process{s.Gateway, s.Link, s.Board} {
			if p != nil {
				rest = append(rest, p)
			}
		}
	}
	var err error
	if l.Cloud != nil {
		rest = append(rest, l.Cloud)
	}
	for _, p := range rest {
		err = errors.Join(err, p.Stop())
	}
	return err
}
