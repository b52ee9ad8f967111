package uplink_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atrium-iot/atrium/shared/carrier"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestFramesReachTheGateAndLeaveTheBufferOnceAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{})
		devices := []id.Device{{Site: "hq", Name: "t1"}}
		r.uplink.SetDevices(devices)
		r.start()
		time.Sleep(time.Second)
		r.rows(5)
		time.Sleep(time.Second)

		frames := r.gate.taken()
		if len(frames) != 5 {
			t.Fatalf("%d frames, want 5\n%s", len(frames), r.log)
		}
		for i, f := range frames {
			if f.first != uint64(i+1) || f.lane != wire.LaneLive || !f.kind.IsFrame() {
				t.Errorf("frame %d is %d on the %s lane", i+1, f.first, f.lane)
			}
		}
		if s := r.buffer.Stats(); s.Frames != 0 || s.Acked != 5 {
			t.Errorf("%d frames are left, %d readings acked", s.Frames, s.Acked)
		}
		r.gate.mu.Lock()
		hello, binds, schemas := r.gate.hellos[0], r.gate.binds, r.gate.schemas
		r.gate.mu.Unlock()
		if hello.Min != 1 || hello.Max != 1 || hello.Agent != "test" || len(hello.Runs) == 0 {
			t.Errorf("hello is %+v", hello)
		}
		if diff := cmp.Diff([]wire.Bind{{Devices: devices}}, binds); diff != "" {
			t.Error(diff)
		}
		if schemas != 1 {
			t.Errorf("the schema came %d times on one connection", schemas)
		}
		if s := r.uplink.Stats(); s.Gate != gateAddr.String() || float64(s.Sent) != r.metric("atrium_uplink_sent_bytes_total", "live") {
			t.Errorf("stats %+v", s)
		}
		for name, want := range map[string]float64{"connected": 1, "connects_total": 1, "sent_frames_total": 5, "acks_total": 5} {
			if got := r.metric("atrium_uplink_"+name, "live"); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
	})
}

// I1: what was sent and not acked is sent again, as the same bytes, and what
// was acked is not.
func TestAReconnectResendsFromTheFirstUnackedFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) {
			g.reply = func(f received) reply { return reply{ack: f.conn > 1 || f.last <= 2} }
		}})
		r.start()
		time.Sleep(time.Second)
		r.rows(5)
		r.net.setCut(true)
		r.rows(3)
		time.Sleep(10 * time.Second)
		r.net.setCut(false)
		time.Sleep(20 * time.Second)

		byConn := map[int][]uint64{}
		content := map[uint64][]byte{}
		run := r.gate.taken()[0].run
		for _, f := range r.gate.taken() {
			if f.run != run {
				continue
			}
			byConn[f.conn] = append(byConn[f.conn], f.first)
			if before := content[f.first]; before != nil && !bytes.Equal(before, f.bytes) {
				t.Errorf("frame %d came as other bytes", f.first)
			}
			content[f.first] = f.bytes
		}
		want := map[int][]uint64{1: {1, 2, 3, 4, 5}, 2: {3, 4, 5, 6, 7, 8}}
		if diff := cmp.Diff(want, byConn); diff != "" {
			t.Errorf("%s\n%s", diff, r.log)
		}
		if s := r.buffer.Stats(); s.Frames != 0 {
			t.Errorf("%d frames are left", s.Frames)
		}
		if r.metric("atrium_uplink_disconnects_total", "silent") != 1 {
			t.Errorf("the dead path was not counted\n%s", r.log)
		}
	})
}

// A path that comes back after an outage is used within the longest backoff,
// not after QUIC's own probes, which are by then as late as the outage was long.
func TestAnOutageEndsSoonAfterThePathIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{})
		r.start()
		time.Sleep(time.Second)
		r.net.setCut(true)
		r.row(1)
		time.Sleep(40 * time.Second)
		r.net.setCut(false)
		healed := time.Now()
		time.Sleep(30 * time.Second)
		frames := r.gate.taken()
		if len(frames) == 0 || frames[0].at.Sub(healed) > 6*time.Second { // a handshake under way and a backoff
			t.Fatalf("%d frames after an outage, the first late\n%s", len(frames), r.log)
		}
	})
}

func TestAnIdleConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{})
		r.start()
		time.Sleep(10 * time.Minute)
		r.row(1)
		time.Sleep(time.Second)
		if n := r.gate.connections(); n != 1 || len(r.gate.taken()) != 1 {
			t.Fatalf("%d connections, %d frames\n%s", n, len(r.gate.taken()), r.log)
		}
	})
}

// A journal that elects a new leader acks nothing for seconds. On a path with
// nothing else to send no packet comes meanwhile; giving it up would bring
// every slow gateway's hello upon the cloud at its worst moment.
func TestAPathIsKeptWhileTheGateOwesAnAckAndNothingElseIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) { g.reply = func(received) reply { return reply{} } }})
		r.start()
		time.Sleep(time.Second)
		r.row(1)
		time.Sleep(10 * time.Second)
		r.row(1)
		time.Sleep(20 * time.Second)
		if n := r.gate.connections(); n != 1 || len(r.gate.taken()) != 2 {
			t.Fatalf("%d connections, %d frames\n%s", n, len(r.gate.taken()), r.log)
		}
	})
}

// The backlog of an outage drains beside live frames, on a link that it could
// fill for seconds.
func TestLiveFramesDoNotWaitBehindTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const columns, rate = 31, 625_000 // 5 Mbit/s
		r := newRig(t, settings{rate: rate, columns: columns, gate: func(g *gate) { g.credit = 1 << 30 }})
		for range 40 {
			for range 400 {
				r.row(columns) // 248 bytes
			}
			time.Sleep(1100 * time.Millisecond)
		}
		backlog := r.buffer.Stats().StoredBytes
		if backlog < 3_000_000 {
			t.Fatalf("a backlog of %d bytes", backlog)
		}
		r.start()
		for {
			time.Sleep(100 * time.Millisecond)
			if len(r.gate.taken()) > 0 {
				break
			}
		}
		sampled := map[int]time.Time{}
		for i := range 30 {
			sampled[i] = time.Now()
			r.row(columns)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(30 * time.Second)

		live, drained := 0, time.Time{}
		for _, f := range r.gate.taken() {
			if f.lane == wire.LaneBacklog {
				drained = f.at
			}
		}
		for _, f := range r.gate.taken() {
			if f.lane != wire.LaneLive {
				continue
			}
			if late := f.at.Sub(sampled[live]); late > 120*time.Millisecond {
				t.Errorf("live frame %d came %v after its sample", live, late)
			}
			live++
		}
		if live != 30 || drained.Sub(sampled[29]) < time.Second {
			t.Fatalf("%d live frames; the backlog ended at %v, the last sample was at %v", live, drained, sampled[29])
		}
		if s := r.buffer.Stats(); s.Frames != 0 {
			t.Errorf("%d frames are left", s.Frames)
		}
	})
}

// PROTOCOL.md, Streams, 5; I1: the rejected frame's place is taken by a gap,
// and what followed it is sent again.
func TestARejectedFrameIsReplacedByAGapAndTheRunGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) {
			g.reply = func(f received) reply {
				if f.first == 3 && f.kind.IsFrame() {
					return reply{reject: wire.RejectMalformed}
				}
				return reply{ack: true}
			}
		}})
		r.start()
		time.Sleep(time.Second)
		r.rows(3)
		r.rows(3)
		time.Sleep(2 * time.Second)
		var got []string
		for _, f := range r.gate.taken() {
			got = append(got, f.kind.String()[:1]+string('0'+rune(f.first)))
		}
		if want := []string{"f1", "f2", "f3", "g3", "f4", "f5", "f6"}; !slices.Equal(got, want) {
			t.Errorf("the gate took %v, want %v\n%s", got, want, r.log)
		}
		if s := r.buffer.Stats(); s.Frames != 0 || s.Quarantined != 1 || r.gate.connections() != 1 {
			t.Errorf("%d frames are left, %d in quarantine, %d connections", s.Frames, s.Quarantined, r.gate.connections())
		}
		if r.metric("atrium_uplink_rejects_total", "malformed") != 1 {
			t.Error("the reject was not counted")
		}
	})
}

func TestAnUnknownSchemaIsAnnouncedAgainWithTheSameFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejected := false
		r := newRig(t, settings{gate: func(g *gate) {
			g.reply = func(f received) reply {
				if f.first == 2 && !rejected {
					rejected = true
					return reply{reject: wire.RejectUnknownSchema}
				}
				return reply{ack: true}
			}
		}})
		r.start()
		time.Sleep(time.Second)
		r.rows(4)
		time.Sleep(2 * time.Second)
		frames := r.gate.taken()
		if len(frames) != 5 || frames[2].first != 2 || !bytes.Equal(frames[1].bytes, frames[2].bytes) {
			t.Fatalf("%d frames\n%s", len(frames), r.log)
		}
		r.gate.mu.Lock()
		defer r.gate.mu.Unlock()
		if r.gate.schemas != 2 {
			t.Errorf("the schema came %d times, want 2", r.gate.schemas)
		}
		if s := r.buffer.Stats(); s.Quarantined != 0 {
			t.Errorf("%d frames in quarantine", s.Quarantined)
		}
	})
}

// A reject of a closed run finds its cursor although the run was sent to its end.
func TestARunOfTheBacklogThatWasSentToItsEndCanStillBeRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rejected := false
		r := newRig(t, settings{gate: func(g *gate) {
			g.reply = func(f received) reply {
				if f.lane == wire.LaneBacklog && !rejected {
					rejected = true
					return reply{reject: wire.RejectUnknownClock}
				}
				return reply{ack: true}
			}
		}})
		r.rows(1)
		time.Sleep(3 * time.Second) // committed: a backlog
		r.start()
		time.Sleep(5 * time.Second)
		if s := r.buffer.Stats(); !rejected || s.Frames != 0 || r.gate.connections() != 1 {
			t.Errorf("rejected %v, %d frames are left, %d connections\n%s", rejected, s.Frames, r.gate.connections(), r.log)
		}
		// Its end was told in a hello that the gate welcomed: it may go.
		time.Sleep(15 * time.Second) // deletions wait for a commit, but not for long
		if s := r.buffer.Stats(); s.Runs != 2 {
			t.Errorf("%d runs are left, want the open ones", s.Runs)
		}
	})
}

// A gate and a gateway that cannot agree do not send the same frame round and
// round.
func TestAGateThatRefusesEveryAnswerIsLeftAndTriedSlowly(t *testing.T) {
	for _, reason := range []wire.RejectReason{wire.RejectUnknownSchema, wire.RejectMalformed, wire.RejectForeignRun} {
		t.Run(reason.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, settings{gate: func(g *gate) {
					g.reply = func(received) reply { return reply{reject: reason} }
				}})
				r.start()
				time.Sleep(time.Second)
				r.row(1)
				time.Sleep(20 * time.Second)
				if n := len(r.gate.taken()); n < 1 || n > 6 || r.gate.connections() != 1 {
					t.Fatalf("%d frames on %d connections\n%s", n, r.gate.connections(), r.log)
				}
				if r.metric("atrium_uplink_disconnects_total", "protocol") != 1 {
					t.Errorf("the end was not counted\n%s", r.log)
				}
				r.gate.mu.Lock()
				defer r.gate.mu.Unlock()
				if app, ok := r.gate.ends[0].(*carrier.CloseError); !ok || app.Code != wire.CloseProtocol {
					t.Errorf("the gate saw %v", r.gate.ends[0])
				}
			})
		})
	}
}

// I5: not a byte is sent beyond the gate's credit.
func TestFramesWaitForCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) { g.credit = 0 }})
		r.start()
		time.Sleep(time.Second)
		r.rows(3)
		if n := len(r.gate.taken()); n != 0 {
			t.Fatalf("%d frames without credit", n)
		}
		r.gate.grant(plenty)
		time.Sleep(time.Second)
		if n := len(r.gate.taken()); n != 3 {
			t.Fatalf("%d frames with credit, want 3\n%s", n, r.log)
		}
	})
}

// What is sampled comes faster than the gate takes it: that is said while it
// is so.
func TestAGateWithoutCreditStarvesTheUplink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) { g.credit = 1000 }})
		r.start()
		time.Sleep(time.Second)
		r.rows(10)
		if r.uplink.Stats().Starved {
			t.Fatal("starved with credit left")
		}
		r.rows(50)
		if !r.uplink.Stats().Starved || r.metric("atrium_uplink_starved", "") != 1 {
			t.Fatalf("not starved after %d frames of what 1000 bytes allow", len(r.gate.taken()))
		}
		r.gate.grant(plenty)
		r.rows(30)
		if r.uplink.Stats().Starved || r.metric("atrium_uplink_starved", "") != 0 {
			t.Fatal("still starved with credit again")
		}
		if got := fmt.Sprint(r.starved); got != "[true false]" {
			t.Errorf("told %s", got)
		}
	})
}

func TestChangedDevicesAreBoundAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{})
		r.start()
		time.Sleep(time.Second)
		r.uplink.SetDevices([]id.Device{{Site: "hq", Name: "t1"}, {Site: "hq", Name: "t2"}})
		time.Sleep(time.Second)
		r.gate.mu.Lock()
		defer r.gate.mu.Unlock()
		if n := len(r.gate.binds); n != 2 || len(r.gate.binds[1].Devices) != 2 {
			t.Fatalf("%d binds: %v", n, r.gate.binds)
		}
	})
}

// I6: a refusal names its reason and what to look at, and is not hammered.
func TestARefusalIsSaidClearlyAndRetriedSlowly(t *testing.T) {
	refuse := func(code wire.CloseCode) func(*gate) {
		return func(g *gate) {
			g.close = &carrier.CloseError{Code: code, Text: "script"}
		}
	}
	for _, c := range []struct {
		name, reason, hint string
		foreign            bool
		settings           settings
	}{
		{name: "another ALPN", settings: settings{alpn: "h3"}, reason: "alpn", hint: "does not speak atrium/1"},
		{name: "another cluster's gate", foreign: true, reason: "certificate", hint: "not one of this gateway's cluster"},
		{name: "version", settings: settings{gate: refuse(wire.CloseVersion)}, reason: "version", hint: "update"},
		{name: "identity", settings: settings{gate: refuse(wire.CloseIdentity)}, reason: "identity", hint: "issue a new one"},
		{name: "foreign site", settings: settings{gate: refuse(wire.CloseForeignSite)}, reason: "foreign-site", hint: "another site"},
		{name: "superseded", settings: settings{gate: refuse(wire.CloseSuperseded)}, reason: "superseded", hint: "same certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if c.foreign {
					c.settings.authority = newAuthority(t)
				}
				r := newRig(t, c.settings)
				r.start()
				time.Sleep(25 * time.Second)
				if got := r.metric("atrium_uplink_dials_total", "udp"); got != 1 {
					t.Errorf("%v dials in 25 s, want 1", got)
				}
				if got := r.metric("atrium_uplink_disconnects_total", c.reason); got != 1 {
					t.Errorf("%v ends with reason %s, want 1", got, c.reason)
				}
				if log := r.log.String(); !strings.Contains(log, "reason="+c.reason) || !strings.Contains(log, c.hint) {
					t.Errorf("the log lacks %q or %q:\n%s", c.reason, c.hint, log)
				}
				time.Sleep(70 * time.Second)
				if got := r.metric("atrium_uplink_dials_total", "udp"); got < 2 {
					t.Error("it was never tried again")
				}
			})
		})
	}
}

func TestABusyGateIsTriedAgainWithGrowingWaitsAndLittleLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{gate: func(g *gate) {
			g.close = &carrier.CloseError{Code: wire.CloseBusy}
		}})
		r.start()
		time.Sleep(30 * time.Second)
		if n := r.gate.connections(); n < 20 || n > 60 { // half a second each, after the first
			t.Errorf("%d connections in 30 s", n)
		}
		if n := strings.Count(r.log.String(), "not connected"); n != 1 {
			t.Errorf("%d lines of log, want 1", n)
		}
	})
}

func TestAStopSaysBye(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, settings{})
		r.start()
		time.Sleep(time.Second)
		r.halt()
		time.Sleep(time.Second)
		r.gate.mu.Lock()
		defer r.gate.mu.Unlock()
		app, ok := r.gate.ends[0].(*carrier.CloseError)
		if !ok || app.Code != wire.CloseBye {
			t.Fatalf("the gate saw %v", r.gate.ends[0])
		}
	})
}
