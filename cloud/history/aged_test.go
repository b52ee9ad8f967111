package history

import (
	"io"
	"log/slog"
	"testing"
)

// Letters that aged away are still in the count. It must not make new ones
// give way while there are few.
func TestDeadLettersThatAgedAwayTakeNoRoom(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()}, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	s.shards[0] = &shardState{dead: MaxDeadLetters} // as if so many had been written and aged
	for seq := uint64(1); seq <= 3; seq++ {
		if err := s.Write(0, seq, &Projections{Dead: []DeadLetter{{At: At{Seq: seq}, Site: "hq"}}}); err != nil {
			t.Fatal(err)
		}
	}
	n := 0
	for _, err := range s.DeadLetters("hq") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 3 || s.shards[0].dead != 3 {
		t.Fatalf("%d dead letters are left, counted %d, want 3", n, s.shards[0].dead)
	}
}
