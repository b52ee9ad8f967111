package journal

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// copies of each stream in a cluster: the loss of any one core node is
	// survived. Five would survive two, at the price of two more fsyncs.
	copies = 3
	// routeHandshake bounds TLS between two nodes, of which one may be starting
	// on a slow machine.
	routeHandshake = 10 * time.Second
	// dialsALine is how many refused dials of a dead neighbour are one line of
	// the log, behind the first: one a second is tried on each of four routes.
	dialsALine = 60
)

// ClusterConfig makes a server one of several.
type ClusterConfig struct {
	// ID is the cluster's, from its CA: a server of another id is not joined.
	ID string
	// Listen is where routes are accepted, HOST:PORT.
	Listen string
	// Address is where the other nodes reach Listen, HOST:PORT. Empty means
	// Listen, which must then name a host.
	Address string
	// Core holds the addresses of all core nodes, at least three, the same on
	// each node. A core node's own is among them.
	Core []string
	// TLS is used in both directions; identity.CA.RouteTLS makes it.
	TLS *tls.Config
	// Worker has no store: it is a client of the core nodes'.
	Worker bool
	// Founder is set on one core node: it makes the cluster's store, and brings
	// in what it stored while it was alone. See Server.Form.
	Founder bool
}

// address is where others reach this node.
func (c *ClusterConfig) address() string {
	if c.Address != "" {
		return c.Address
	}
	return c.Listen
}

func (c *ClusterConfig) check() error {
	if c.ID == "" || c.TLS == nil {
		return errors.New("cluster: its id and TLS are required")
	}
	if c.Worker && c.Founder {
		return errors.New("cluster: a worker has no store and cannot found one")
	}
	for _, a := range append([]string{c.Listen, c.address()}, c.Core...) {
		if err := checkAddress(a); err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
	}
	if host, _, _ := net.SplitHostPort(c.address()); host == "" || net.ParseIP(host).IsUnspecified() {
		return fmt.Errorf("cluster: other nodes cannot dial %s: an address with a host is required", c.address())
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(c.Core)))); n < copies || n != len(c.Core) {
		return fmt.Errorf("cluster: %d different addresses of core nodes among %d, want at least %d and each once", n, len(c.Core), copies)
	}
	if !c.Worker && !slices.Contains(c.Core, c.address()) {
		return fmt.Errorf("cluster: core nodes %q: this node's own address %s is not among them", c.Core, c.address())
	}
	return nil
}

func checkAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("address %q: want HOST:PORT", a)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: want a port from 1 to 65535", a)
	}
	return nil
}

// apply makes the options those of a server in the cluster.
func (c *ClusterConfig) apply(o *server.Options) {
	host, port, _ := net.SplitHostPort(c.Listen)
	n, _ := strconv.Atoi(port)
	o.Cluster = server.ClusterOpts{
		Name: c.ID, Host: host, Port: n, Advertise: c.address(), NoAdvertise: true,
		TLSConfig: c.TLS, TLSTimeout: routeHandshake.Seconds(),
	}
	for _, a := range c.Core {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: a})
	}
	o.ReconnectErrorReports = dialsALine
	o.JetStream = !c.Worker
	// Routes start only behind a listener for clients: this one is on the
	// machine's own address, and lets nobody in.
	o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT
	o.CustomClientAuthentication = inProcess{}
}

// inProcess admits this process's own connections only. It implements
// server.Authentication.
type inProcess struct{}

func (inProcess) Check(c server.ClientAuthentication) bool {
	a := c.RemoteAddress()
	return a != nil && a.Network() == "pipe"
}
