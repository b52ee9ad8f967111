package agent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// errNeverCame: 32-bit programs know no later time.
var errNeverCame = errors.New("it is after 2038-01-19, beyond which the clock is not watched")

// watchClock leaves a note in set, which has room for one, whenever somebody
// sets the system's clock, until ctx ends: a timer on CLOCK_REALTIME, far in the
// future, is cancelled by the kernel then (timerfd_create(2),
// TFD_TIMER_CANCEL_ON_SET).
func watchClock(ctx context.Context, set chan<- struct{}) error {
	never := unix.ItimerSpec{Value: lastTime()}
	return watchTimer(ctx, set, &never)
}

// lastTime is the last that a timer can be set to: 2262, where the kernel's
// nanoseconds end, or in 32-bit programs 2038.
func lastTime() unix.Timespec {
	last, err := unix.TimeToTimespec(time.Unix(0, math.MaxInt64))
	if err != nil { // it does not fit
		return unix.Timespec{Sec: math.MaxInt32}
	}
	return last
}

func watchTimer(ctx context.Context, set chan<- struct{}, until *unix.ItimerSpec) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("agent: clock: timerfd: %w", err)
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	defer timer.Close()
	defer context.AfterFunc(ctx, func() { timer.Close() })() // ends the read
	var expirations [8]byte
	for {
		if err = arm(timer, until); err == nil {
			_, err = timer.Read(expirations[:])
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			return fmt.Errorf("agent: clock: %w", errNeverCame)
		case !errors.Is(err, unix.ECANCELED):
			return fmt.Errorf("agent: clock: timerfd: %w", err)
		}
		select {
		case set <- struct{}{}:
		default:
		}
	}
}

// arm may meet a timer that is closed, whose number is another file's by then.
func arm(timer *os.File, until *unix.ItimerSpec) error {
	raw, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, until, nil)
	})
	return errors.Join(err, failed)
}
