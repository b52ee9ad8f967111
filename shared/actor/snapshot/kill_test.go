package snapshot_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// victim names, in a child process, the folder of the snapshots that it saves
// until it is killed.
const victim = "ATRIUM_SNAPSHOT_VICTIM"

// TestAKilledProcessLeavesWhatItSaved kills a process that saves without
// pause, again and again: what it said to be saved is there, or what it saved
// after that.
func TestAKilledProcessLeavesWhatItSaved(t *testing.T) {
	if path := os.Getenv(victim); path != "" {
		saveUntilKilled(t, path)
	}
	path := t.TempDir()
	acked := map[string]uint64{}
	for round := range 5 {
		runVictim(t, path, 20+7*round, acked)
		d := openDir(t, path)
		for id, want := range acked {
			data, err := d.Load(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got := counted(data); got < want || got > want+1 {
				t.Errorf("round %d: %s has save %d, acked was %d", round, id, got, want)
			}
			acked[id] = counted(data)
		}
	}
	if len(acked) != 4 {
		t.Errorf("%d ids were saved, want 4", len(acked))
	}
}

// runVictim notes the saves of a child and kills it after some of them.
func runVictim(t *testing.T, path string, saves int, acked map[string]uint64) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), victim+"="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 1; lines.Scan(); n++ {
		var id string
		var i uint64
		if _, err := fmt.Sscanf(lines.Text(), "%s %d", &id, &i); err != nil {
			t.Fatalf("the victim said %q: %v", lines.Text(), err)
		}
		acked[id] = i
		if n == saves {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the victim ended by itself")
	}
}

// saveUntilKilled saves four IDs at once, each with a count that goes on from
// what it has, and says so after each.
func saveUntilKilled(t *testing.T, path string) {
	d := openDir(t, path)
	for w := range 4 {
		go func() {
			id := fmt.Sprintf("hq/t%d", w)
			data, _ := d.Load(context.Background(), id)
			for i := counted(data) + 1; ; i++ {
				if err := d.Save(context.Background(), id, countOf(i)); err != nil {
					panic(err)
				}
				fmt.Printf("%s %d\n", id, i)
			}
		}()
	}
	select {}
}

// countOf is a state of some blocks that holds a count in every word.
func countOf(i uint64) []byte {
	return bytes.Repeat(binary.BigEndian.AppendUint64(nil, i), 1500)
}

// counted returns the count of a state, 0 of none and of one that is mixed.
func counted(data []byte) uint64 {
	if len(data) == 0 || !bytes.Equal(data, countOf(binary.BigEndian.Uint64(data))) {
		return 0
	}
	return binary.BigEndian.Uint64(data)
}
