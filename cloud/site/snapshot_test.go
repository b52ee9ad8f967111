package site

import (
	"crypto/sha256"
	"testing"

	"github.com/atrium-iot/atrium/cloud/command"
	"github.com/atrium-iot/atrium/cloud/twin"
	"github.com/atrium-iot/atrium/shared/actor"
	"github.com/atrium-iot/atrium/shared/pipeline"
)

// FuzzSnapshot reads objects whose digest is right and whose bytes are not
// ours: an error or a site, never a panic (I6).
func FuzzSnapshot(f *testing.F) {
	c, err := newCodec()
	if err != nil {
		f.Fatal(err)
	}
	seed := func(s siteState) []byte {
		b, err := c.enc.Marshal(siteSnapshot{Version: snapshotVersion, Site: "hq", Seq: 7, State: s})
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	g := newGatewayState()
	g.Runs[run(1)] = &runState{Next: 1}
	f.Add(seed(siteState{}))
	f.Add(seed(siteState{Gateways: []namedGateway{{Name: "gw1", State: g}}, Twins: []namedTwin{{Name: "t1", State: new(twin.Snapshot)}}}))
	f.Add(seed(siteState{Gateways: []namedGateway{{Name: "gw1"}, {Name: "gw1"}}}))
	rooms := []*document{{Kind: pipelineKind, Name: "high", Revision: 3, Text: []byte(above5)}, {Kind: roomKind, Name: "floor", Revision: 2, Text: []byte(floor)}}
	reads := []namedPipeline{{Name: "high", State: &pipelineState{Revision: 3, Devices: map[string]*pipeline.State{"t2": {}}}}}
	f.Add(seed(siteState{Documents: rooms, Pipelines: reads, Commands: &command.State{Open: []*command.Command{{Status: command.Sent}}}}))
	f.Add(seed(siteState{Documents: rooms}))
	f.Add(seed(siteState{Documents: []*document{nil}, Pipelines: reads, Commands: &command.State{Ended: []*command.Command{nil}}}))
	system := actor.NewActorSystem(actor.Config{Address: "a", Port: 1, ClusterName: "test"}, quiet())
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := c.restore(manifestEntry{Site: "hq", Object: "site.hq.7", Seq: 7, Digest: sha256.Sum256(data)}, data, system, new(marks), new(scratch))
		if err != nil {
			return
		}
		if _, err := c.encode(s, 7); err != nil {
			t.Fatal(err)
		}
		if err := s.close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestASnapshotOfAnotherSiteSequenceOrDigestIsRefused(t *testing.T) {
	s := offline(t, "node")
	defer s.done()
	st, err := newSite("hq", s.actors, &s.marks, &s.work)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.codec.encode(st, 7)
	if err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	good := manifestEntry{Site: "hq", Object: "site.hq.7", Seq: 7, Digest: sha256.Sum256(data)}
	for name, change := range map[string]func(*manifestEntry){
		"site":   func(e *manifestEntry) { e.Site = "lab" },
		"seq":    func(e *manifestEntry) { e.Seq = 8 },
		"digest": func(e *manifestEntry) { e.Digest[0] ^= 1 },
	} {
		e := good
		change(&e)
		if _, err := s.codec.restore(e, data, s.actors, &s.marks, &s.work); err == nil {
			t.Errorf("another %s was accepted", name)
		}
	}
	back, err := s.codec.restore(good, data, s.actors, &s.marks, &s.work)
	if err != nil {
		t.Fatal(err)
	}
	if err := back.close(); err != nil {
		t.Fatal(err)
	}
}
