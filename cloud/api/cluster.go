package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

var (
	// ErrUndecided is what Cluster returns before a node's first decision about
	// shards.
	ErrUndecided = errors.New("this node has not decided yet where shards are to be")
	// ErrNoHeir is what Cluster returns for a drain of the last node that could
	// serve anything.
	ErrNoHeir = errors.New("no other node lives that could take its shards")
	// ErrNotStored is what Cluster returns when no majority of the core nodes has
	// stored a change in time: perhaps it comes yet.
	ErrNotStored = errors.New("the change is not stored, or it is not known")
)

// drainWithin bounds how long it may take until a drain is stored.
const drainWithin = 10 * time.Second

// Cluster answers what nodes, shards and their placement are, as this node sees
// them. Any node may be asked.
type Cluster interface {
	Nodes(ctx context.Context) ([]client.Node, error)
	Shards(ctx context.Context) ([]client.Holding, error) // by number
	// Why is ErrNotFound for a shard that the cluster has not.
	Why(ctx context.Context, shard int) (client.Placement, error)
	ShardOf(ctx context.Context, site id.Site) (int, error)
	// Drain empties a node, or with on false gives it shards again. ErrNotFound:
	// nobody knows the node to empty. Nothing has changed upon ErrNoHeir.
	Drain(ctx context.Context, node string, on bool) (client.Drain, error)
	Advice(ctx context.Context) (client.Advice, error)
}

// registerCluster adds the endpoints of nodes, shards and their placement.
func registerCluster(a huma.API, s *server) {
	add(a, "list-nodes", "/v1/nodes", "The nodes of the cluster", s.nodes)
	add(a, "list-shards", "/v1/shards", "The shards, who has them, and why", s.shards)
	add(a, "get-why", "/v1/shards/{shard}/why", "Why a shard is where it is", s.why)
	add(a, "get-placement", "/v1/sites/{site}/placement", "Why the shard of a site is where it is", s.placement)
	add(a, "get-advice", "/v1/advice", "Whether the cluster should get a node or give one back", s.advice)
	huma.Register(a, huma.Operation{
		OperationID: "drain-node", Method: http.MethodPut, Path: "/v1/nodes/{node}/drain",
		Summary:      "Empty a node, or give it shards again",
		Description:  "The answer comes when the wish is stored, and says how many shards the node still serves; list-nodes and list-shards say how it goes on. It lasts over restarts of the node until it is taken back.",
		MaxBodyBytes: maxBody,
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity,
			http.StatusInternalServerError, http.StatusServiceUnavailable,
		},
	}, s.drain)
}

func (s *server) nodes(ctx context.Context, in *Listing) (*body[client.Page[client.Node]], error) {
	all, err := s.views.Nodes(ctx)
	if err != nil {
		return nil, answered(err, "nodes", "/v1/nodes")
	}
	slices.SortFunc(all, func(a, b client.Node) int { return strings.Compare(a.Node, b.Node) })
	return page(all, func(n client.Node) string { return n.Node }, *in), nil
}

func (s *server) shards(ctx context.Context, in *Listing) (*body[client.Page[client.Holding]], error) {
	all, err := s.views.Shards(ctx)
	if err != nil {
		return nil, answered(err, "shards", "/v1/shards")
	}
	return page(all, func(h client.Holding) string { return fmt.Sprintf("%06d", h.Shard) }, *in), nil
}

type shardInput struct {
	Shard string `path:"shard" maxLength:"6" doc:"Its number, from 0."`
}

func (s *server) why(ctx context.Context, in *shardInput) (*body[client.Placement], error) {
	n, err := strconv.ParseUint(in.Shard, 10, 16)
	if err != nil {
		return nil, badParameter("path.shard", in.Shard, errors.New("want a shard's number, from 0"))
	}
	return s.placed(ctx, int(n), "shard "+in.Shard)
}

type placementInput struct {
	Site string `path:"site" maxLength:"63"`
}

func (s *server) placement(ctx context.Context, in *placementInput) (*body[client.Placement], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	n, err := s.views.ShardOf(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return s.placed(ctx, n, "site "+in.Site)
}

func (s *server) placed(ctx context.Context, shard int, what string) (*body[client.Placement], error) {
	p, err := s.views.Why(ctx, shard)
	if err != nil {
		return nil, answered(err, what, "/v1/shards")
	}
	return ok(p), nil
}

type drainInput struct {
	Node string `path:"node" maxLength:"63"`
	Body client.DrainRequest
}

func (s *server) drain(ctx context.Context, in *drainInput) (*body[client.Drain], error) {
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	d, err := s.views.Drain(ctx, in.Node, in.Body.Drain)
	if err != nil {
		return nil, answered(err, "node "+in.Node, "/v1/nodes")
	}
	return ok(d), nil
}

func (s *server) advice(ctx context.Context, _ *struct{}) (*body[client.Advice], error) {
	a, err := s.views.Advice(ctx)
	if err != nil {
		return nil, answered(err, "advice", "/v1/advice")
	}
	return ok(a), nil
}
