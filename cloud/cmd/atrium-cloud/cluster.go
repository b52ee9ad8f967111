package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/atrium-iot/atrium/cloud/cluster/scaling"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/node"
)

// clusterFlags are what makes a node one of several.
type clusterFlags struct {
	core              []string
	route, peer, role string
}

func (c *clusterFlags) register(f *pflag.FlagSet) {
	f.StringSliceVar(&c.core, "cluster", nil, "addresses of the core nodes for each other, HOST:PORT, the same list on every node; the first named founds the cluster")
	f.StringVar(&c.route, "route", "", "this node's own address for the others, HOST:PORT; of a core node one of --cluster")
	f.StringVar(&c.peer, "peer", "", "this node's address for requests that other nodes pass on, HOST:PORT")
	f.StringVar(&c.role, "role", "core", "core, which keeps the log, or worker, which does not")
}

// config is nil of a node alone.
func (c *clusterFlags) config(cfg node.Config) (*node.ClusterConfig, error) {
	switch {
	case len(c.core) == 0 && c.route == "" && c.peer == "" && c.role == "core":
		return nil, nil
	case len(c.core) == 0:
		return nil, errors.New("--route, --peer and --role are of a cluster: name its core nodes with --cluster HOST:PORT,HOST:PORT,HOST:PORT, or leave them out")
	case c.role != "core" && c.role != "worker":
		return nil, fmt.Errorf("--role %q: want core or worker", c.role)
	case c.route == "" || c.peer == "":
		return nil, errors.New("--cluster needs --route and --peer: the addresses HOST:PORT at which the other nodes reach this one")
	}
	out := &node.ClusterConfig{Core: c.core, Route: c.route, Peer: c.peer, Worker: c.role == "worker"}
	_, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: want HOST:PORT or :PORT", cfg.Listen)
	}
	if len(cfg.Hosts) > 0 {
		out.Gate = net.JoinHostPort(cfg.Hosts[0], port)
	}
	return out, nil
}

// scalingFlags are when the node advises more nodes or fewer.
func scalingFlags(f *pflag.FlagSet, r *scaling.Rules) {
	f.Float64Var(&r.HighCPU, "scale-out-above", r.HighCPU, "advise one node more while CPU is above this share of all cores")
	f.Float64Var(&r.LowCPU, "scale-in-below", r.LowCPU, "advise one node less while CPU is below this share")
	f.DurationVar(&r.OutAfter, "scale-out-after", r.OutAfter, "how long a sign of too much must last")
	f.DurationVar(&r.InAfter, "scale-in-after", r.InAfter, "how long a sign of too little must last")
}

func newAuthority() *cobra.Command {
	var data string
	cmd := &cobra.Command{
		Use:   "authority",
		Short: "Make the cluster's certificate authority, if there is none, and print its file",
		Long: `authority makes the certificate authority in a node's data folder, as the first
start of a node alone does, and prints the path of its file. Each other node of
the cluster needs a copy at the same place in its data folder before its first
start. Whoever has the file can make nodes and gateways of this cluster.`,
		Example: "  atrium-cloud issue authority --data ./cloud-data",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir := filepath.Join(data, node.CAFolder)
			if _, err := identity.OpenCA(dir); err != nil {
				return err
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(dir, identity.StoreFile))
			return err
		},
	}
	cmd.Flags().StringVar(&data, "data", defaultData, "folder of the node")
	return cmd
}
