package agent

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/buffer"
	"github.com/atrium-iot/atrium/shared/id"
)

func TestAReloadTakesOverDevicesThatCameWentAndChanged(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms", "c2 0x21 1h")
	r.start()
	r.chips.await(t, 0x20, 3)

	r.write("", "c2 0x21 20ms", "c3 0x22 20ms")
	r.hangup()
	r.log.await(t, "msg=reloaded", "devices=2")
	gone, _ := r.chips.snapshot()
	r.chips.await(t, 0x21, 3)
	if now := r.chips.await(t, 0x22, 3); now[0x20] != gone[0x20] {
		t.Errorf("the device that went was read %d more times", now[0x20]-gone[0x20])
	}
	// And back: its series and its place are free again.
	r.write("", "c1 0x22 20ms")
	r.hangup()
	r.log.await(t, "msg=reloaded", "devices=1")
	r.chips.await(t, 0x22, 3)
}

func TestAReloadOfABrokenConfigurationChangesNothing(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms")
	r.start()
	r.chips.await(t, 0x20, 1)

	r.write("", "c1 0x99 20ms", "c2 0x21 20ms")
	r.hangup()
	r.log.await(t, "level=ERROR", "reload: ", "edge.yaml:11:", `address`, "0x77")
	if now := r.chips.await(t, 0x20, 3); now[0x21] != 0 {
		t.Errorf("a device of the broken configuration was read %d times", now[0x21])
	}
	// Also when a bus that came cannot be opened.
	r.write("", "c2 0x21 20ms")
	cfg := r.config()
	r.put("edge.yaml", strings.Replace(read(t, cfg.File), "devices:", "  - {name: b2, device: /dev/i2c-250}\ndevices:", 1))
	r.hangup()
	r.log.await(t, "level=ERROR", "reload: ", "/dev/i2c-250 does not exist")
	if now := r.chips.await(t, 0x20, 3); now[0x21] != 0 {
		t.Errorf("a device of the configuration that could not be taken over was read %d times", now[0x21])
	}
}

func TestAReloadNamesTheKeysThatNeedARestart(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms")
	r.start()
	r.write("buffer: {mode: always}\nlog: warn", "c1 0x20 20ms")
	r.hangup()
	r.log.await(t, "level=WARN", "takes effect at the next start", "key=log")
	r.log.await(t, "level=WARN", "takes effect at the next start", "key=buffer")
	r.log.await(t, "msg=reloaded", "devices=1")
}

func TestAGatewayStartsBeforeItsBoard(t *testing.T) {
	r := newRig(t)
	r.write("", "c1 0x20 20ms")
	r.start()
	if text := r.log.String(); !strings.Contains(text, "the board does not answer yet") {
		t.Errorf("nothing tells of the board that is away:\n%s", text)
	}
	r.log.await(t, "device cannot be read", "hq/c1")
	r.board()
	r.chips.await(t, 0x20, 3)
	r.log.await(t, "device can be read again", "hq/c1")
}

func TestABoardWithoutTheBusEndsTheStart(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms")
	r.put("edge.yaml", strings.Replace(read(t, filepath.Join(r.dir, "edge.yaml")), "board-bus: sim", "board-bus: other", 1))
	err := Run(t.Context(), r.config(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), `no bus "other" on this board, it has sim`) {
		t.Errorf("got %v", err)
	}
}

// I1: what was delivered before a clean stop is committed, without a cloud.
func TestACleanStopKeepsEverythingSampled(t *testing.T) {
	for _, mode := range []buffer.Mode{buffer.Spill, buffer.Always} {
		t.Run(mode.String(), func(t *testing.T) {
			r := newRig(t)
			r.board()
			r.write(fmt.Sprintf("buffer: {mode: %s, commit-interval: 1m}", mode), "c1 0x20 20ms", "c2 0x21 20ms", "c3 0x22 20ms")
			r.start()
			r.chips.await(t, 0x20, 20)
			r.chips.await(t, 0x21, 5)
			r.stop()
			delivered, _ := r.chips.snapshot()
			want := uint64(delivered[0x20] + delivered[0x21] + delivered[0x22] + 3) // and each device's health
			if got := r.kept(); got != want {
				t.Errorf("%d readings are in the store, %d were delivered", got, want)
			}
		})
	}
}

// kept opens the store that the gateway left and counts what is in it.
func (r *rig) kept() uint64 {
	r.t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := buffer.OpenBadger(filepath.Join(r.dir, "state", "buffer"), log)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := buffer.Open(r.t.Context(), buffer.Config{Boot: id.Boot{1}, Now: sinceBoot, Limit: 64 << 20, Reserve: 1 << 20, MaxMemory: 1 << 20, CommitInterval: time.Second, Linger: time.Second}, store, log, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() {
		if err := b.Close(context.Background()); err != nil {
			r.t.Error(err)
		}
	}()
	s := b.Stats()
	if len(s.Dropped) != 0 {
		for reason, d := range s.Dropped {
			if d != (buffer.Dropped{}) {
				r.t.Errorf("dropped %s: %+v", reason, d)
			}
		}
	}
	return uint64(s.Readings)
}

func TestAStopDuringTheStartIsClean(t *testing.T) {
	r := newRig(t)
	r.write("", "c1 0x20 20ms")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, r.config(), slog.New(slog.DiscardHandler)); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestASecondAgentOnTheStateIsRefused(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms")
	r.start()
	err := Run(t.Context(), r.config(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another agent uses the directory") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	r.chips.await(t, 0x20, 2)
}

func TestAPortInUseEndsTheStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	r := newRig(t)
	r.write("", "c1 0x20 20ms")
	cfg := r.config()
	cfg.HTTP = taken.Addr().String()
	err = Run(t.Context(), cfg, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

func TestAForeignIdentityIsRefusedAtItsPlace(t *testing.T) {
	r := newRig(t)
	r.issue(id.Gateway{Site: "hq", Name: "gw-2"})
	r.write("", "c1 0x20 20ms")
	err := Run(t.Context(), r.config(), slog.New(slog.DiscardHandler))
	if err == nil || !all(err.Error(), []string{`edge.yaml:1:10: key "gateway": hq/gw-1`, "that of hq/gw-2"}) {
		t.Errorf("got %v", err)
	}
}

func TestHealthAndMetricsAreServed(t *testing.T) {
	r := newRig(t)
	r.board()
	r.write("", "c1 0x20 20ms")
	r.put("edge.yaml", strings.Replace(read(t, filepath.Join(r.dir, "edge.yaml")), `http: ""`, "http: 127.0.0.1:0", 1))
	r.start()
	line := r.log.await(t, "serving health and metrics")
	_, at, _ := strings.Cut(line, "http=")
	r.chips.await(t, 0x20, 1)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": `atrium_bus_transactions_total{bus="b"}`, "/status": `{"gateway":"hq/gw-1","connected":false,"cloud":"","mode":"spill","devices":1,`} {
		resp, err := http.Get("http://" + at + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %v, want %q", path, resp.Status, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
