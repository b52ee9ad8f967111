package journal

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// After an election of four seconds a read is answered within the try that is
// under way then, and one that takes long has the time.
func TestAReadIsRepeatedUntilSomebodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		leader := begin.Add(4 * time.Second)
		tries := 0
		read := func(ctx context.Context) (int, error) {
			tries++
			if time.Now().Before(leader) {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return 7, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if n, err := asked(ctx, 3, read); n != 7 || err != nil || tries != 5 || time.Since(begin) > 8*time.Second {
			t.Fatalf("%d, %v after %d tries and %v", n, err, tries, time.Since(begin))
		}
		refused, tries := errors.New("no"), 0
		if _, err := asked(ctx, 3, func(context.Context) (int, error) { tries++; return 0, refused }); err != refused || tries != 1 {
			t.Fatalf("%v after %d tries: a refusal is an answer", err, tries)
		}
		slow := func(ctx context.Context) (int, error) {
			select {
			case <-time.After(3 * time.Second):
				return 1, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
		long, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if _, err := asked(long, 3, slow); err != nil {
			t.Fatal(err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := asked(short, 3, slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

// A watch may be behind while changes come; what it never shows nobody serves.
func TestAWatchThatStandsStillWhileTheLeaderGoesOnIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		newest, seen []uint64
		over         bool
	}{
		"nothing is written":            {[]uint64{7, 7, 7}, []uint64{7, 7, 7}, false},
		"it follows":                    {[]uint64{7, 9, 12}, []uint64{6, 8, 11}, false},
		"a write just before the look":  {[]uint64{7, 8}, []uint64{7, 7}, false},
		"its replica died":              {[]uint64{7, 8, 8}, []uint64{7, 7, 7}, true},
		"it falls behind by ever more":  {[]uint64{7, 20, 40}, []uint64{7, 10, 15}, true},
		"an old leader answers between": {[]uint64{9, 7, 9}, []uint64{9, 9, 9}, false},
	} {
		var l lag
		over := false
		for i := range c.newest {
			over = over || l.behind(c.newest[i], c.seen[i])
		}
		if over != c.over {
			t.Errorf("%s: over is %t", name, over)
		}
	}
}

// What a store's pipe calls its deadline is no refusal: it is asked again.
func TestAnObjectThatComesTooSlowlyIsAskedForAgain(t *testing.T) {
	tries := 0
	_, err := asked(t.Context(), 3, func(context.Context) (int, error) {
		if tries++; tries == 1 {
			return 0, &net.OpError{Op: "read", Net: "pipe", Err: os.ErrDeadlineExceeded}
		}
		return 1, nil
	})
	if err != nil || tries != 2 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
