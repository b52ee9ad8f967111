package journal

import (
	"context"
	"errors"
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
