package snapshot

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What an ID may have beside a snapshot.
const (
	none    = "<none>"
	damaged = "<damaged>"
)

// crashes is a Dir on a lossy disk, beside it what each ID may have: one state
// after a call that succeeded, that and another after one that failed.
type crashes struct {
	disk *lossy
	dir  *Dir
	may  map[string][]string
}

func newCrashes(t *rapid.T) *crashes {
	c := &crashes{disk: newLossy(), may: map[string][]string{}}
	c.disk.t = t
	for _, id := range []string{"hq/t1", "hq/t2"} {
		c.may[id] = []string{none}
	}
	c.open(t)
	return c
}

const crashLimit = 8 * block

func (c *crashes) open(t *rapid.T) {
	dir, err := openDir("state", crashLimit, c.disk)
	if err != nil {
		t.Fatal(err)
	}
	c.dir = dir
}

func (c *crashes) Save(t *rapid.T) {
	id, state := c.id(t), rapid.StringN(0, 20, -1).Draw(t, "state")
	if rapid.Bool().Draw(t, "large") {
		state += strings.Repeat("x", block)
	}
	err := c.dir.Save(context.Background(), id, []byte(state))
	if errors.Is(err, ErrFull) {
		return
	}
	c.became(id, state, err)
}

func (c *crashes) Delete(t *rapid.T) {
	id := c.id(t)
	c.became(id, none, c.dir.Delete(context.Background(), id))
}

func (c *crashes) became(id, state string, err error) {
	if err == nil {
		c.may[id] = nil
	}
	c.may[id] = append(c.may[id], state)
}

func (c *crashes) Load(t *rapid.T) { c.load(t, c.id(t)) }

// load checks what an ID has and returns it.
func (c *crashes) load(t *rapid.T, id string) string {
	data, err := c.dir.Load(context.Background(), id)
	state := string(data)
	switch {
	case errors.Is(err, ErrNone):
		state = none
	case errors.Is(err, ErrDamaged):
		state = damaged
	case err != nil:
		t.Fatal(err)
	}
	if !slices.Contains(c.may[id], state) {
		t.Fatalf("%s has %.40q, it may have %.40q", id, state, c.may[id])
	}
	return state
}

// Rot changes a byte of what lies on the disk.
func (c *crashes) Rot(t *rapid.T) {
	id := c.id(t)
	f, name := c.disk.at(c.dir.base(id) + whole)
	file, ok := f.live[name]
	if !ok {
		t.Skip()
	}
	file = bytes.Clone(file)
	file[rapid.IntRange(0, len(file)-1).Draw(t, "at")] ^= 0x80
	if _, err := parseFile(file, id); !errors.Is(err, ErrDamaged) {
		t.Skip() // the byte of the version
	}
	f.live[name], f.sure[name], f.pending = file, file, nil
	c.may[id] = []string{damaged}
}

// Fail makes calls to the disk fail, in one of the next calls of the Dir.
func (c *crashes) Fail(t *rapid.T) {
	c.disk.calls = rapid.IntRange(0, 4).Draw(t, "calls before")
	c.disk.fails = rapid.IntRange(1, 3).Draw(t, "failures")
}

// Crash ends the process, most often in the middle of a call, and the power
// with it.
func (c *crashes) Crash(t *rapid.T) {
	c.disk.calls = rapid.IntRange(0, 5).Draw(t, "calls before")
	c.disk.fails = 1 << 30
	if rapid.Bool().Draw(t, "while it saves") {
		c.Save(t)
	} else {
		c.Delete(t)
	}
	c.disk.powerLoss()
	c.open(t)
	var used int64
	for folder, f := range c.disk.folders {
		for name, data := range f.live {
			if strings.HasSuffix(folder, unfinished) {
				t.Errorf("%s is left unfinished", name)
			}
			used += allotted(int64(len(data)))
		}
	}
	if c.dir.Used() != used {
		t.Errorf("%d bytes are used, the files take %d", c.dir.Used(), used)
	}
	for id := range c.may {
		c.may[id] = []string{c.load(t, id)} // it is read from the medium
	}
}

// Check counts the room of what is there: it is never more than is reserved,
// and that never more than the limit (I5).
func (c *crashes) Check(t *rapid.T) {
	var used int64
	for _, f := range c.disk.folders {
		for _, data := range f.live {
			used += allotted(int64(len(data)))
		}
	}
	if c.dir.Used() < used || c.dir.Used() > crashLimit {
		t.Errorf("%d bytes are used of %d, the files take %d", c.dir.Used(), crashLimit, used)
	}
}

func (c *crashes) id(t *rapid.T) string {
	return rapid.SampledFrom([]string{"hq/t1", "hq/t2"}).Draw(t, "id")
}

// TestNoCrashLosesOrMixesASnapshot runs any calls on a disk that fails and
// loses power at any point: an ID has what the last call that succeeded gave
// it, or what one that failed since would have, and never a part of it.
func TestNoCrashLosesOrMixesASnapshot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		t.Repeat(rapid.StateMachineActions(newCrashes(t)))
	})
}

func TestALossOfPowerLeavesTheFoldersAboveToo(t *testing.T) {
	disk := newLossy()
	d, err := openDir("var/lib/atrium/state", crashLimit, disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Save(t.Context(), "hq/t1", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	for path := range disk.folders {
		if !disk.lasts(path) {
			t.Errorf("%s may be forgotten", path)
		}
	}
}

// TestAFolderThatCannotBeMadeFailsOpen goes through each call of an open.
func TestAFolderThatCannotBeMadeFailsOpen(t *testing.T) {
	for n := range 265 {
		disk := newLossy()
		disk.calls, disk.fails = n, 1
		d, err := openDir("state", 1, disk)
		if failed := disk.fails == 0; failed != (err != nil) || failed != (d == nil) {
			t.Fatalf("call %d: failed %t, open: %v", n, failed, err)
		}
	}
}

// overtaken is a disk on which something happens right after the first read.
type overtaken struct {
	*lossy
	then func()
}

func (o *overtaken) Read(path string) ([]byte, error) {
	data, err := o.lossy.Read(path)
	if then := o.then; then != nil {
		o.then = nil
		then()
	}
	return data, err
}

func TestASnapshotSavedWhileADamagedOneIsReadIsNotPutAside(t *testing.T) {
	ctx := context.Background()
	disk := &overtaken{lossy: newLossy()}
	d, err := openDir("state", crashLimit, disk)
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.Write(d.base("hq/t1")+whole, []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	disk.then = func() {
		if err := d.Save(ctx, "hq/t1", []byte("whole")); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if data, err := d.Load(ctx, "hq/t1"); string(data) != "whole" {
			t.Errorf("got %q, %v", data, err)
		}
	}
}
