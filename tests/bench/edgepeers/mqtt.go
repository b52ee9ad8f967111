package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"github.com/atrium-iot/atrium/cloud/demo/process"
)

const (
	// mqttWindow is how many messages may wait for their PUBACK.
	mqttWindow = 1000
	patience   = 30 * time.Second
)

// mqttPeer publishes with QoS 1 to mosquitto, where a session that is not
// connected, and so is persistent, takes every message.
type mqttPeer struct {
	client  mqtt.Client
	server  *exec.Cmd
	file    string // mosquitto's database
	sent    atomic.Int64
	waiting chan mqtt.Token
	acked   chan struct{} // closed when the last of waiting is acked
	failed  atomic.Pointer[error]
}

func startMQTT(ctx context.Context, o options) (_ peer, err error) {
	program, env, err := mosquitto(ctx, o.cache)
	if err != nil {
		return nil, fmt.Errorf("%w: mosquitto: %w", errSkipped, err)
	}
	_, ports, err := process.FreePorts(0, 1)
	if err != nil {
		return nil, err
	}
	m := &mqttPeer{file: filepath.Join(o.dir, "mosquitto.db"), waiting: make(chan mqtt.Token, mqttWindow), acked: make(chan struct{})}
	if err := m.serve(ctx, program, env, ports[0], o.dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.stop())
		}
	}()
	keeper, err := m.connect(ports[0], "keeper")
	if err != nil {
		return nil, err
	}
	if err := finished(keeper.Subscribe("bench/#", 1, nil)); err != nil {
		return nil, err
	}
	keeper.Disconnect(250)
	if m.client, err = m.connect(ports[0], "gateway"); err != nil {
		return nil, err
	}
	go m.follow()
	return m, nil
}

func (m *mqttPeer) serve(ctx context.Context, program string, env []string, address, dir string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	// Everything that is queued is kept. It is written when durable says so: by
	// itself mosquitto writes its database every 30 minutes.
	config := fmt.Sprintf("listener %s 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\nmax_queued_messages 0\nset_tcp_nodelay true\nlog_type error\n", port, dir)
	file := filepath.Join(dir, "mosquitto.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return err
	}
	m.server = exec.CommandContext(ctx, program, "-c", file)
	var said bytes.Buffer
	m.server.Env, m.server.Stderr = append(os.Environ(), env...), &said
	if err := m.server.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return conn.Close()
		} else if time.Now().After(end) {
			return fmt.Errorf("mosquitto does not listen: %w: %s", errors.Join(err, m.stop()), &said)
		}
	}
}

func (m *mqttPeer) connect(address, id string) (mqtt.Client, error) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetCleanSession(false).SetOrderMatters(false).
		SetCustomOpenConnectionFn(func(u *url.URL, _ mqtt.ClientOptions) (net.Conn, error) {
			conn, err := net.Dial("tcp", u.Host)
			return counted{conn, &m.sent}, err
		})
	c := mqtt.NewClient(o)
	return c, finished(c.Connect())
}

func finished(t mqtt.Token) error {
	if !t.WaitTimeout(patience) {
		return errors.New("mosquitto does not answer")
	}
	return t.Error()
}

// counted counts what is written.
type counted struct {
	net.Conn
	sent *atomic.Int64
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

// follow waits for the PUBACKs in order.
func (m *mqttPeer) follow() {
	defer close(m.acked)
	for t := range m.waiting {
		if err := finished(t); err != nil {
			m.failed.CompareAndSwap(nil, &err)
		}
	}
}

func (m *mqttPeer) send(topic string, payload []byte) error {
	if err := m.failed.Load(); err != nil {
		return *err
	}
	m.waiting <- m.client.Publish(topic, 1, false, payload)
	return nil
}

// durable waits for the last PUBACK, which says that mosquitto has a message in
// its memory, and then makes it write and sync its database (SIGUSR1).
func (m *mqttPeer) durable(ctx context.Context) error {
	close(m.waiting)
	<-m.acked
	if err := m.failed.Load(); err != nil {
		return *err
	}
	if err := m.server.Process.Signal(syscall.SIGUSR1); err != nil {
		return err
	}
	// It renames the whole file into its place.
	for end := time.Now().Add(patience); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(m.file); err == nil {
			return nil
		}
	}
	return errors.New("mosquitto writes no database")
}

func (m *mqttPeer) wire() int64    { return m.sent.Load() }
func (m *mqttPeer) serverPID() int { return m.server.Process.Pid }

func (m *mqttPeer) close() error {
	m.client.Disconnect(250)
	return m.stop()
}

// stop kills: what it would write at its end is thrown away.
func (m *mqttPeer) stop() error {
	err := m.server.Process.Kill()
	_ = m.server.Wait() // killed
	return err
}
