package node

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"github.com/atrium-iot/atrium/cloud/gate"
	"github.com/atrium-iot/atrium/cloud/overload"
	"github.com/atrium-iot/atrium/shared/ops"
)

// strain is why this node holds back, if it does.
type strain struct {
	state  *overload.State
	active *prometheus.GaugeVec
	now    atomic.Pointer[[]string] // the triggers
	later  atomic.Bool              // new gateways are turned away
}

func newStrain(reg prometheus.Registerer) *strain {
	s := &strain{state: overload.New(), active: ops.Register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "atrium_overload_active", Help: "1 while the node does what docs/overload.md says of a trigger.",
	}, []string{"trigger"}))}
	for _, t := range overload.Table() {
		s.active.WithLabelValues(t.Name).Set(0)
	}
	return s
}

// triggers are those that are active.
func (s *strain) triggers() []string {
	if now := s.now.Load(); now != nil {
		return *now
	}
	return nil
}

// ready returns an error while new gateways are turned away.
func (s *strain) ready() error {
	if !s.later.Load() {
		return nil
	}
	return errors.New(laterText(s.triggers()))
}

func laterText(because []string) string {
	return "this node is overloaded (" + strings.Join(because, ", ") + ")"
}

// take takes a measurement, and returns what the gate is to do and the triggers
// because of which.
func (s *strain) take(m overload.Measured) (gate.Restraint, []string) {
	do, because := s.state.Step(m)
	s.now.Store(&because)
	s.later.Store(do&overload.Later != 0)
	for _, t := range overload.Table() {
		is := 0.0
		if slices.Contains(because, t.Name) {
			is = 1
		}
		s.active.WithLabelValues(t.Name).Set(is)
	}
	r := gate.Restraint{Slow: do&overload.Slow != 0}
	if do&overload.Later != 0 {
		r.Later = laterText(because)
	}
	return r, because
}

// relieve looks whether the node has too much, and does what the table says.
func (n *node) relieve() {
	m := overload.Measured{Disk: diskFree(n.cfg.Data), Memory: memoryFree(), Delay: n.load.node().Delay}
	before := n.strain.triggers()
	r, because := n.strain.take(m)
	if !slices.Equal(before, because) {
		n.log.Warn("overload", "triggers", because, "before", before, "disk_free", m.Disk, "memory_free", m.Memory, "delay", m.Delay)
	}
	n.gate.Restrain(r)
}

// diskFree is the share of a folder's file system that this program may still
// fill; of one that can't be asked all, as its writes will say more.
func diskFree(folder string) float64 {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil || st.Blocks == 0 {
		return 1
	}
	return float64(st.Bavail) / float64(st.Blocks)
}

// memoryFree is the share of the machine's memory that programs may still have,
// by the kernel's own estimate; all where there is none.
func memoryFree() float64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1
	}
	share, err := parseMemory(b)
	if err != nil {
		return 1
	}
	return share
}

// parseMemory reads proc(5)'s meminfo.
func parseMemory(b []byte) (share float64, err error) {
	var total, available float64
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		into := map[string]*float64{"MemTotal": &total, "MemAvailable": &available}[name]
		if into == nil {
			continue
		}
		if *into, err = strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64); err != nil {
			return 0, fmt.Errorf("meminfo: %s: %w", name, err)
		}
	}
	if total == 0 || available == 0 {
		return 0, errors.New("meminfo: it does not say how much memory there is")
	}
	return available / total, nil
}
