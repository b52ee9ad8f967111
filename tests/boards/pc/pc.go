package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/demo/process"
	"github.com/atrium-iot/atrium/edge/agent"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/tests/boards/debian"
	"github.com/atrium-iot/atrium/tests/boards/plan"
	"github.com/atrium-iot/atrium/tests/boards/qemu"
	"github.com/atrium-iot/atrium/tests/boards/stand"
	"github.com/atrium-iot/atrium/tests/e2e/line"
	"github.com/atrium-iot/atrium/tests/proc"
)

const (
	adapter  = "n0" // the netdev
	tag      = "share"
	diskSize = 256 << 20 // for the reserves, the ballasts and Badger's files of two agents
)

// pc is the emulated PC, which is switched on several times.
type pc struct {
	stand   *stand.Stand
	http    []string // of the gateways, on this machine
	machine *qemu.Machine
	boots   int
}

func (p *pc) disk() string  { return filepath.Join(p.stand.Dir, "disk.img") }
func (p *pc) share() string { return filepath.Join(p.stand.Dir, "share") }

// newPC prepares all that outlives a boot.
func newPC(ctx context.Context, s *stand.Stand) (*pc, error) {
	p := &pc{stand: s}
	if err := os.Mkdir(p.share(), 0o755); err != nil {
		return nil, err
	}
	if err := makeDisk(ctx, p.disk()); err != nil {
		return nil, err
	}
	gate, err := s.Gate()
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	todo := plan.Plan{Disk: "/dev/vda", Tag: tag}
	var agents []plan.Program
	for _, g := range gateways() {
		files[g.file("board.yaml")] = g.boardYAML()
		files[g.file("edge.yaml")] = g.edgeYAML(gate)
		if err := s.Issue(ctx, g.name(), files, g.file("identity")); err != nil {
			return nil, err
		}
		s.Line.Sites = append(s.Line.Sites, &line.Site{Name: g.site, Truth: filepath.Join(p.share(), g.truth())})
		todo.Programs = append(todo.Programs, plan.Program{
			Args:  []string{"/bin/atrium-sim", "board", "--socket", g.socket(), "--config", g.file("board.yaml"), "--truth", plan.Share + "/" + g.truth()},
			Ready: g.socket(),
		})
		agents = append(agents, plan.Program{Args: []string{"/bin/atrium-edge", "run", "--config", g.file("edge.yaml")}})
	}
	todo.Programs = append(todo.Programs, agents...)
	if _, p.http, err = process.FreePorts(0, len(agents)); err != nil {
		return nil, err
	}
	return p, s.WriteInitrd(stand.Contents{Modules: modules(), Programs: []string{"atrium-edge", "atrium-sim"}, Files: files, Plan: todo})
}

// modules are the drivers of QEMU's virtio devices, and the file systems.
func modules() []string {
	return []string{"virtio_pci", "virtio_blk", "virtio_net", "9pnet_virtio", "9p", "dm-flakey", "crc32c_generic", "ext4"}
}

// makeDisk makes an image with an empty ext4; every Debian has the program.
func makeDisk(ctx context.Context, image string) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	mkfs := exec.CommandContext(ctx, "mkfs.ext4", "-q", "-F", image)
	if errors.Is(mkfs.Err, exec.ErrNotFound) {
		mkfs = exec.CommandContext(ctx, "/usr/sbin/mkfs.ext4", mkfs.Args[1:]...) // not in everyone's PATH
	}
	out, err := mkfs.CombinedOutput()
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: e2fsprogs is not installed: %w", debian.ErrUnavailable, err)
	}
	if err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	return nil
}

// switchOn boots the PC with its clock at base, and waits until both agents
// sample.
func (p *pc) switchOn(ctx context.Context, base string) error {
	p.boots++
	dir := filepath.Join(p.stand.Dir, "boot-"+strconv.Itoa(p.boots))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	command, env, err := p.stand.Boot("qemu-system-x86_64", "")
	if err != nil {
		return err
	}
	var forward strings.Builder
	for i, g := range gateways() {
		fmt.Fprintf(&forward, ",hostfwd=tcp:%s-%s:%d", p.http[i], plan.Address, g.port)
	}
	p.machine, err = qemu.Start(ctx, qemu.Config{
		Command: slices.Concat(command, []string{
			"-nodefaults", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024",
			"-rtc", "base=" + base,
			// A panic restarts the PC, which ends QEMU. A busy host may make an
			// emulated timer late, which the kernel would take for a broken one.
			"-append", "console=ttyS0 loglevel=4 rdinit=/init panic=-1 no_timer_check",
			"-drive", "if=virtio,format=raw,file=" + p.disk(),
			"-virtfs", "local,security_model=none,multidevs=remap,mount_tag=" + tag + ",path=" + p.share(),
			"-netdev", "user,id=" + adapter + forward.String(), "-device", "virtio-net-pci,romfile=,netdev=" + adapter,
		}),
		Env: env, Dir: dir,
	})
	if err != nil {
		return err
	}
	return p.all(ctx, "sampled", func(_ context.Context, _ int, st agent.Status) (bool, error) {
		return st.Sampled > st.Recovered, nil
	})
}

// switchOff ends QEMU, if it still runs.
func (p *pc) switchOff() error {
	if p.machine == nil {
		return nil
	}
	m := p.machine
	p.machine = nil
	return m.Stop()
}

// all waits until something holds of all gateways.
func (p *pc) all(ctx context.Context, what string, ok func(ctx context.Context, i int, st agent.Status) (bool, error)) error {
	return stand.Await(ctx, p.machine.Ended(), patience, "all gateways had "+what, func(ctx context.Context) (bool, error) {
		for i := range p.http {
			st, err := agent.FetchStatus(ctx, p.http[i])
			if err != nil {
				return false, err
			}
			if done, err := ok(ctx, i, st); !done || err != nil {
				return false, err
			}
		}
		return true, nil
	}, nil)
}

// timely waits until all that was sampled before is acked, and each gateway's
// twins show a reading of now, at a time that the cloud vouches for.
func (p *pc) timely(ctx context.Context) error {
	c, err := client.New(p.stand.Line.Cloud.URL())
	if err != nil {
		return err
	}
	since := time.Now()
	return p.all(ctx, "a twin of the right time", func(ctx context.Context, i int, st agent.Status) (bool, error) {
		d, err := c.Device(ctx, id.Device{Site: id.Site(gateways()[i].site), Name: "c1"})
		if client.NotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !st.Connected || len(d.Points) == 0 || d.Points[0].Clock != "welcome" || d.Points[0].ReceivedAt.Before(since) {
			return false, nil
		}
		at := d.Points[0].SampledAt
		if off := time.Since(at); off.Abs() > slack {
			return false, fmt.Errorf("%s shows a reading of %s, %s ago", d.Device, at, off)
		}
		return true, nil
	})
}

// mappings is how often each agent mapped its boot's clock to a time that
// nobody vouches for.
func (p *pc) mappings(ctx context.Context) ([]float64, error) {
	out := make([]float64, len(p.http))
	for i := range out {
		c, err := proc.Scrape(ctx, "http://"+p.http[i])
		if err != nil {
			return nil, err
		}
		if out[i], err = c.Of(`atrium_agent_clock_mappings_total{source="none"}`); err != nil {
			return nil, fmt.Errorf("agent %d: %w", i+1, err)
		}
	}
	return out, nil
}

// order tells the guest what to do and waits until it is done, and if it ends
// the machine, until it has.
func (p *pc) order(ctx context.Context, c plan.Command, by time.Duration) error {
	file := filepath.Join(p.share(), filepath.Base(plan.Order))
	if err := os.WriteFile(file+".new", plan.FormatOrder(c, by), 0o644); err != nil {
		return err
	}
	if err := os.Rename(file+".new", file); err != nil {
		return err
	}
	carriedOut := func() bool {
		_, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist)
	}
	if c == plan.Step {
		return stand.Await(ctx, p.machine.Ended(), patience, "the clock was set", func(context.Context) (bool, error) { return carriedOut(), nil }, nil)
	}
	select {
	case <-p.machine.Ended():
	case <-time.After(patience):
		return fmt.Errorf("not within %s: the machine restarted after %s", patience, c)
	case <-ctx.Done():
		return ctx.Err()
	}
	if !carriedOut() {
		return fmt.Errorf("the machine ended without %s", c)
	}
	return p.switchOff()
}
