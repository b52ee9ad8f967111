package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/journal"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/wire"
)

func TestReadingsOfAFrameAreCountedBeforeItIsAcked(t *testing.T) { // I2
	run, other := id.Run{1}, id.Run{2}
	schema := func(run id.Run, sid uint32, points ...id.Point) []byte {
		var columns []wire.Column
		for _, p := range points {
			columns = append(columns, wire.Column{Point: p, Mantissa: 1})
		}
		body := (&wire.Body{Profile: "a.b", Version: 1, Tick: 1e6, Columns: columns}).Append(nil)
		return (&wire.Schema{Run: run, SID: sid, Device: id.Device{Site: "hq", Name: "s1"}, Hash: wire.HashBody(body), Body: body}).Append(nil)
	}
	frame := wire.Frame{Run: run, Seq: 1, Clk: 1, Blocks: []wire.Block{{SID: 1, N: 3, Data: []byte{0}}, {SID: 2, N: 4, Data: []byte{0}}}}
	var a appender
	for _, rec := range []journal.Record{
		{Kind: journal.KindHello},
		{Kind: journal.KindSchema, Body: schema(run, 1, "a", "b", "c", "d", "e")},
		{Kind: journal.KindSchema, Body: schema(other, 1, "a")},
		{Kind: journal.KindSchema, Body: schema(run, 2, "a")},
		{Kind: journal.KindFrame, Body: frame.Append(nil)},
	} {
		called := false
		err := a.Append(0, "hq/gw-1", rec, func(_ uint64, err error) {
			called = true
			if err != nil {
				t.Errorf("%v: %v", rec.Kind, err)
			}
		})
		if err != nil || !called {
			t.Errorf("%v: %v, called %t", rec.Kind, err, called)
		}
	}
	if got := a.readings(); got != 3*5+4*1 {
		t.Errorf("%d readings", got)
	}
}

func TestAFrameThatCannotBeReadIsNotCalledDurable(t *testing.T) {
	var a appender
	var failed error
	if err := a.Append(0, "hq/gw-1", journal.Record{Kind: journal.KindFrame, Body: []byte{0}}, func(_ uint64, err error) { failed = err }); err != nil {
		t.Fatal(err)
	}
	if failed == nil {
		t.Error("it is durable")
	}
}

func TestAProcessIsFoundByItsProgram(t *testing.T) {
	name := filepath.Base(os.Args[0])
	name = name[:min(len(name), 15)] // TASK_COMM_LEN
	if pid, err := processOf(name); err != nil || pid <= 0 {
		t.Errorf("%s: %d, %v", name, pid, err)
	}
	if pid, err := processOf("no such program"); err == nil || !strings.Contains(err.Error(), "no such program") {
		t.Errorf("%d, %v", pid, err)
	}
}
