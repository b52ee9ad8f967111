package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"periph.io/x/conn/v3/gpio"

	"github.com/atrium-iot/atrium/hal/remote"
	"github.com/atrium-iot/atrium/simulator/chip"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"atrium-sim": main})
}

func TestTheCommandLine(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"LISTEN", "TO", "CONTROL", "FAULTS"} {
				at, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(name, at)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "http": request, "count": count, "tx": tx, "line": line,
		},
	})
}

// freePort is free for UDP and TCP, at least now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	u, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return "", err
	}
	defer u.Close()
	return l.Addr().String(), nil
}

// await waits until a board's socket or a URL answers.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await SOCKET|URL")
	}
	there := func() bool {
		if strings.HasPrefix(args[0], "http:") {
			resp, err := http.Get(args[0])
			if err != nil {
				return false
			}
			resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		}
		b, err := remote.Dial(context.Background(), ts.MkAbs(args[0]), "sim-i2c-1")
		if err != nil {
			return false
		}
		return b.Close() == nil
	}
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-deadline:
			ts.Fatalf("%s never answered", args[0])
		case <-tick.C:
		}
	}
}

// request prints the answer, after its status if that is an error. As with
// curl, -d is before the body.
func request(ts *testscript.TestScript, neg bool, args []string) {
	body := ""
	if len(args) == 4 && args[1] == "-d" {
		args, body = []string{args[0], args[3]}, args[2]
	}
	if len(args) != 2 {
		ts.Fatalf("usage: http METHOD [-d BODY] URL")
	}
	req, err := http.NewRequest(args[0], args[1], strings.NewReader(body))
	ts.Check(err)
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	failed := resp.StatusCode != http.StatusOK
	if failed {
		fmt.Fprintf(ts.Stdout(), "%d ", resp.StatusCode)
	}
	fmt.Fprintf(ts.Stdout(), "%s", answer)
	if failed != neg {
		ts.Fatalf("%s %s: %s %s", args[0], args[1], resp.Status, answer)
	}
}

// count takes one reading of a counter through the board's socket.
func count(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count SOCKET BUS ADDRESS")
	}
	var addr uint16
	_, err := fmt.Sscanf(args[2], "0x%x", &addr)
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b, err := remote.Dial(ctx, ts.MkAbs(args[0]), args[1])
	ts.Check(err)
	defer b.Close()
	ts.Check(b.Tx(addr, []byte{chip.CounterStart}, nil))
	for status := []byte{0xff}; status[0] != 0; {
		ts.Check(b.Tx(addr, []byte{chip.CounterStatus}, status))
	}
	var n [4]byte
	ts.Check(b.Tx(addr, []byte{chip.CounterNumber}, n[:]))
	fmt.Fprintln(ts.Stdout(), binary.BigEndian.Uint32(n[:]))
}

// tx does one transaction and prints what was read, or the bus's error.
func tx(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 5 {
		ts.Fatalf("usage: tx SOCKET BUS ADDRESS HEX N")
	}
	var addr uint16
	var n int
	_, err := fmt.Sscanf(args[2]+" "+args[4], "0x%x %d", &addr, &n)
	ts.Check(err)
	w, err := hex.DecodeString(args[3])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b, err := remote.Dial(ctx, ts.MkAbs(args[0]), args[1])
	ts.Check(err)
	defer b.Close()
	r := make([]byte, n)
	if err = b.Tx(addr, w, r); err != nil {
		fmt.Fprintln(ts.Stdout(), err)
	} else {
		fmt.Fprintf(ts.Stdout(), "% x\n", r)
	}
	if (err != nil) != neg {
		ts.Fatalf("tx: % x, %v", r, err)
	}
}

// line drives a line low or high, or reads it as an input that is pulled up or
// down and prints its level; or it prints why it could not.
func line(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: line SOCKET CHIP OFFSET low|high|up|down")
	}
	offset, err := strconv.Atoi(args[2])
	ts.Check(err)
	err = do(ts.MkAbs(args[0]), args[1], offset, args[3], ts.Stdout())
	if err != nil {
		fmt.Fprintln(ts.Stdout(), err)
	}
	if (err != nil) != neg {
		ts.Fatalf("line: %v", err)
	}
}

func do(socket, chip string, offset int, what string, out io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	lines, err := remote.DialLines(ctx, socket, chip)
	if err != nil {
		return err
	}
	defer lines.Close()
	l, err := lines.Line(offset)
	if err != nil {
		return err
	}
	pull := gpio.PullUp
	switch what {
	case "low", "high":
		return l.Out(what == "high")
	case "down":
		pull = gpio.PullDown
	}
	if err := l.In(pull, gpio.NoEdge); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, l.Read())
	return err
}

// What the README tells a user to type and to write is what the scripts run.
func TestTheReadmesCommandsAreRun(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var scripts strings.Builder
	files, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		scripts.Write(b)
	}
	run := strings.NewReplacer("$TO", "127.0.0.1:7000", "$LISTEN", "127.0.0.1:7001", "$CONTROL", "127.0.0.1:7002", "$FAULTS", "127.0.0.1:7003").Replace(scripts.String())
	found := 0
	for _, block := range regexp.MustCompile("(?s)```(sh|yaml)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		if block[1] == "yaml" {
			found++
			if !strings.Contains(run, block[2]) {
				t.Errorf("no script has the file\n%s", block[2])
			}
			continue
		}
		for line := range strings.Lines(block[2]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), " #")
			line = strings.TrimSpace(line)
			for typed, scripted := range map[string]string{"atrium-sim ": "exec atrium-sim ", "curl -X ": "http ", "curl 'http": "http GET 'http"} {
				if rest, ok := strings.CutPrefix(line, typed); ok {
					line = scripted + rest
					break
				}
			}
			found++
			if !strings.Contains(run, strings.ReplaceAll(line, "'", "")) {
				t.Errorf("no script runs %q", line)
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d commands and files in the README", found)
	}
}
