// Command atrium-cloud is a cloud node, and the authority that issues gateways
// their identities. It parses flags and prints; the work is cloud/node's and
// cloud/identity's.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/atrium-iot/atrium/cloud/cluster/scaling"
	"github.com/atrium-iot/atrium/cloud/identity"
	"github.com/atrium-iot/atrium/cloud/node"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/ops"
)

// defaultData is relative, so that a first try leaves nothing outside the
// folder that it was made in.
const defaultData = "atrium-data"

func main() {
	os.Exit(ops.Run(newRoot()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:     "atrium-cloud",
		Short:   "Atrium's cloud node",
		Long:    "atrium-cloud takes gateways' readings into a replicated log, keeps a twin and the history of every device, and serves them over HTTP.",
		Example: "  atrium-cloud run --data ./cloud-data\n  atrium-cloud issue gateway hq/gw-1 --data ./cloud-data --out ./gw-1",
	}
	root.AddCommand(newRun(), newIssue(), newRestore())
	return root
}

func newRun() *cobra.Command {
	cfg, of := node.Config{Scaling: scaling.Default()}, clusterFlags{}
	var level string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the node until SIGINT or SIGTERM",
		Long: `run serves gateways over QUIC and people over HTTP until SIGINT or SIGTERM. It
needs no configuration: the first start makes the cluster's certificate
authority and the log in the data folder.

With --cluster it is one of several nodes: three core nodes, which keep the log
and of which any one may be lost, and workers, which come and go. Before its
first start, ca/ca.pem is copied from the first node's data folder to each of the
others'. A node that ran alone becomes the first of a cluster, with all that it
has, when it is named first.`,
		Example: `  atrium-cloud run --data ./cloud-data
  atrium-cloud run --data /var/lib/atrium-cloud --listen :7443 --host cloud.example
  atrium-cloud run --cluster 10.0.0.1:7450,10.0.0.2:7450,10.0.0.3:7450 --route 10.0.0.2:7450 --peer 10.0.0.2:7451 --host 10.0.0.2
  atrium-cloud run --cluster 10.0.0.1:7450,10.0.0.2:7450,10.0.0.3:7450 --route 10.0.0.9:7450 --peer 10.0.0.9:7451 --host 10.0.0.9 --role worker`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := ops.NewLogger(cmd.ErrOrStderr(), level)
			if err != nil {
				return err
			}
			if cmd.Flags().Changed("shards") && cfg.Shards == 0 {
				return errors.New("--shards 0: want 1 to 64, or leave it out")
			}
			if cfg.Cluster, err = of.config(cfg); err != nil {
				return err
			}
			if err := cfg.Scaling.Check(); err != nil {
				return err
			}
			return node.Run(cmd.Context(), cfg, log)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.Data, "data", defaultData, "folder of the node: its log, history and certificate authority")
	f.StringVar(&cfg.Listen, "listen", ":7443", "UDP and TCP address for gateways")
	f.StringVar(&cfg.HTTP, "http", "127.0.0.1:7480", "TCP address of the HTTP API; it has no sign-in, so only loopback is taken")
	f.StringVar(&cfg.Name, "name", node.DefaultName(), "this node's name")
	f.StringVar(&cfg.Zone, "zone", "local", "this node's location label")
	f.StringArrayVar(&cfg.Hosts, "host", nil, "name or address under which gateways reach this node, may be given again")
	f.IntVar(&cfg.Shards, "shards", 0, fmt.Sprintf("number of shards, fixed at the first start: %d if it is left out, in a cluster %d", node.DefaultShards, node.DefaultClusterShards))
	of.register(f)
	scalingFlags(f, &cfg.Scaling)
	f.StringVar(&level, "log", "info", "debug, info, warn or error")
	return cmd
}

func newIssue() *cobra.Command {
	cmd := &cobra.Command{Use: "issue", Short: "Issue identities", Example: "  atrium-cloud issue gateway hq/gw-1 --out ./gw-1"}
	var data, out string
	var force, asJSON bool
	gateway := &cobra.Command{
		Use:   "gateway SITE/GATEWAY...",
		Short: "Issue gateways their certificate, key and the cluster's CA",
		Long: `gateway writes gateway.crt, gateway.key and ca.crt into a folder, to be copied to
the gateway. Of several gateways each gets a folder SITE/GATEWAY in that one.
The node need not run; the first call makes the authority.`,
		Example: "  atrium-cloud issue gateway hq/gw-1 --data ./cloud-data --out ./gw-1\n  atrium-cloud issue gateway fleet/gw-{1..100} --data ./cloud-data --out ./identities",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			gateways := make([]id.Gateway, len(args)) // all are read before any is issued
			for i, arg := range args {
				var err error
				if gateways[i], err = id.ParseGateway(arg); err != nil {
					return err
				}
			}
			ca, err := identity.OpenCA(filepath.Join(data, node.CAFolder))
			if err != nil {
				return err
			}
			for _, gw := range gateways {
				folder := out
				if len(gateways) > 1 {
					folder = filepath.Join(out, string(gw.Site), gw.Name)
				}
				issued, err := ca.IssueGateway(gw, folder, force)
				if err != nil {
					return err
				}
				if err := printIssued(cmd.OutOrStdout(), asJSON, ca.Cluster(), gw, folder, issued.NotAfter); err != nil {
					return err
				}
			}
			return nil
		},
	}
	f := gateway.Flags()
	f.StringVar(&data, "data", defaultData, "folder of the node")
	f.StringVar(&out, "out", "", "folder to write into")
	f.BoolVar(&force, "force", false, "replace an identity that the folder holds")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	if err := gateway.MarkFlagRequired("out"); err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	cmd.AddCommand(gateway, newAuthority())
	return cmd
}

func printIssued(w io.Writer, asJSON bool, cluster string, gw id.Gateway, folder string, notAfter time.Time) error {
	if asJSON {
		return json.NewEncoder(w).Encode(map[string]any{"gateway": gw, "cluster": cluster, "folder": folder, "not_after": notAfter})
	}
	_, err := fmt.Fprintf(w, "issued %s of cluster %s into %s, valid until %s\n", gw, cluster, folder, notAfter.Format(time.DateOnly))
	return err
}
