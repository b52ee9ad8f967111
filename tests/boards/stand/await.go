package stand

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const pollEvery = 100 * time.Millisecond

// Await waits until ok says yes, for a limit at most; it gives up early if the
// board ends. An error of ok is one of the moment, and told with the last
// failure; show, which may be nil, tells how far it came.
func Await(ctx context.Context, ended <-chan struct{}, limit time.Duration, what string, ok func(context.Context) (bool, error), show func() string) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	said := func() string {
		if show == nil {
			return ""
		}
		return ": it shows " + show()
	}
	var failed error
	for {
		done, err := ok(ctx)
		if done && err == nil {
			return nil
		}
		if ctx.Err() == nil {
			failed = err // not that the time is over, which is said anyway
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.Join(fmt.Errorf("the board ended before %s%s", what, said()), failed)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %s: %s%s", limit, what, said()), failed)
		}
	}
}

// Metric asks a program's /metrics for a sample: the line begins with it, labels
// and all.
func Metric(ctx context.Context, url, sample string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s/metrics: %s", url, resp.Status)
	}
	v, err := findSample(resp.Body, sample)
	if err != nil {
		return 0, fmt.Errorf("%s/metrics: %w", url, err)
	}
	return v, nil
}

func findSample(text io.Reader, sample string) (float64, error) {
	lines := bufio.NewScanner(text)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), sample+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("no %s", sample), lines.Err())
}
