package agent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of these tests; the machine may be busy.
const patience = 30 * time.Second

// counters is a bus of counter chips, each always ready, that counts what was
// delivered of each.
type counters struct {
	mu        sync.Mutex
	converted map[uint16]uint32
	delivered map[uint16]int
	changed   chan struct{}
}

func newCounters() *counters {
	return &counters{converted: map[uint16]uint32{}, delivered: map[uint16]int{}, changed: make(chan struct{})}
}

func (c *counters) String() string                  { return "counters" }
func (c *counters) SetSpeed(physic.Frequency) error { return nil }

// Tx implements i2c.Bus with the registers of atrium.counter's profile.
func (c *counters) Tx(addr uint16, w, r []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(w) == 1 && w[0] == 1:
		c.converted[addr]++
	case len(w) == 1 && w[0] == 0 && len(r) == 1:
		r[0] = 0
	case len(w) == 1 && w[0] == 2 && len(r) == 4:
		binary.BigEndian.PutUint32(r, c.converted[addr])
	default:
		return errors.New("remote I/O error")
	}
	return nil
}

// count is remote.Delivered.
func (c *counters) count(_ string, addr uint16, _, r []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(r) == 4 {
		c.delivered[addr]++
		close(c.changed)
		c.changed = make(chan struct{})
	}
}

func (c *counters) snapshot() (map[uint16]int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.delivered), c.changed
}

// await waits until a chip has delivered more readings, and returns them all.
func (c *counters) await(t *testing.T, addr uint16, more int) map[uint16]int {
	t.Helper()
	begin, _ := c.snapshot()
	deadline := time.After(patience)
	for {
		now, changed := c.snapshot()
		if now[addr] >= begin[addr]+more {
			return now
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("device %#x delivered %d of %d readings", addr, now[addr]-begin[addr], more)
		}
	}
}

// logbook is a log that can be waited for.
type logbook struct {
	mu      sync.Mutex
	text    bytes.Buffer
	read    int // what await has seen
	changed chan struct{}
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(b)
}

// await returns the next line that holds all the words.
func (l *logbook) await(t *testing.T, words ...string) string {
	t.Helper()
	deadline := time.After(patience)
	for {
		l.mu.Lock()
		for {
			line, _, ok := strings.Cut(l.text.String()[l.read:], "\n")
			if !ok {
				break
			}
			l.read += len(line) + 1
			if all(line, words) {
				l.mu.Unlock()
				return line
			}
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("no log line with %q in:\n%s", words, l.String())
		}
	}
}

func all(line string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(line, w) {
			return false
		}
	}
	return true
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// rig is a gateway in this process, with a board and without a cloud.
type rig struct {
	t      *testing.T
	dir    string
	log    *logbook
	chips  *counters
	ended  chan error
	cancel context.CancelFunc
}

var gateway = id.Gateway{Site: "hq", Name: "gw-1"}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), log: &logbook{changed: make(chan struct{})}, chips: newCounters()}
	r.issue(gateway)
	return r
}

// board serves the chips until the test ends.
func (r *rig) board() {
	r.t.Helper()
	l, err := net.Listen("unix", filepath.Join(r.dir, "board.sock"))
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		served := remote.Board{Buses: map[string]i2c.Bus{"sim": r.chips}, Delivered: r.chips.count}
		done <- remote.Serve(ctx, l, served, slog.New(slog.DiscardHandler))
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("board: %v", err)
		}
	})
}

// write writes edge.yaml: head lines, and devices such as "c1 0x20 20ms".
func (r *rig) write(head string, devices ...string) {
	r.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "gateway: %s\nstate: state\nidentity: identity\ncloud: [\"127.0.0.1:9\"]\nhttp: \"\"\ndrain: 0s\n%s\n", gateway, head)
	b.WriteString("buses:\n  - {name: b, board: board.sock, board-bus: sim}\ndevices:\n")
	for _, d := range devices {
		f := strings.Fields(d)
		fmt.Fprintf(&b, "  - {name: %s, profile: atrium.counter, bus: b, address: %s, every: %s}\n", f[0], f[1], f[2])
	}
	r.put("edge.yaml", b.String())
}

func (r *rig) put(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) config() *Config {
	r.t.Helper()
	cfg, err := LoadConfig(filepath.Join(r.dir, "edge.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// start runs the gateway until stop, and returns when it runs.
func (r *rig) start() {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.ended = cancel, make(chan error, 1)
	cfg := r.config()
	go func() { r.ended <- Run(ctx, cfg, slog.New(slog.NewTextHandler(r.log, nil))) }()
	r.t.Cleanup(r.stop)
	r.log.await(r.t, "msg=running")
}

// stop ends the gateway cleanly.
func (r *rig) stop() {
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	if err := <-r.ended; err != nil {
		r.t.Errorf("the gateway ended with %v", err)
	}
}

func (r *rig) hangup() {
	r.t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
}

// issue writes an identity, as atrium-cloud issue does.
func (r *rig) issue(gw id.Gateway) {
	r.t.Helper()
	ca, caKey := r.sign("spiffe://c1", nil, nil)
	cert, key := r.sign(identity.GatewayName("c1", gw).String(), ca, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "identity"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	r.put("identity/"+identity.CAFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Raw})))
	r.put("identity/"+identity.CertFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})))
	r.put("identity/"+identity.KeyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

// sign makes a certificate; without a parent it signs itself.
func (r *rig) sign(name string, parent *x509.Certificate, parentKey ed25519.PrivateKey) (*x509.Certificate, ed25519.PrivateKey) {
	r.t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	uri, err := url.Parse(name)
	if err != nil {
		r.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: []*url.URL{uri}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		BasicConstraintsValid: true, IsCA: parent == nil,
	}
	if parent == nil {
		template.KeyUsage = x509.KeyUsageCertSign
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, parentKey)
	if err != nil {
		r.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		r.t.Fatal(err)
	}
	return cert, key
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
