package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/shared/id"
)

// ErrRefused is what Moving returns for a move that can't be begun.
var ErrRefused = errors.New("refused")

// Moving answers in which shard a site is, and moves it to another.
type Moving interface {
	SiteShard(ctx context.Context, site id.Site) (client.SiteShard, error)
	// MoveSite returns when the move is stored, not when it has ended. expect is
	// the revision that the caller knows, 0 for any. ErrNotFound, ErrRefused.
	MoveSite(ctx context.Context, site id.Site, to int, expect uint64) (client.SiteShard, error)
}

func registerMoving(a huma.API, s *server) {
	const path = "/v1/sites/{site}/shard"
	add(a, "get-site-shard", path, "The shard of a site, and where it moves to", s.siteShard)
	huma.Register(a, huma.Operation{
		OperationID: "move-site", Method: http.MethodPut, Path: path,
		Summary:      "Move a site to another shard",
		Description:  "The answer comes when the wish is stored: get-site-shard says when the site is there. Its gateways go on sending; commands and questions get 503 for a moment.",
		MaxBodyBytes: maxBody,
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity,
			http.StatusInternalServerError, http.StatusServiceUnavailable,
		},
	}, s.moveSite)
}

func (s *server) siteShard(ctx context.Context, in *placementInput) (*body[client.SiteShard], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	out, err := s.views.SiteShard(ctx, site)
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return ok(out), nil
}

type moveInput struct {
	Site string `path:"site" maxLength:"63"`
	Body client.SiteShardRequest
}

func (s *server) moveSite(ctx context.Context, in *moveInput) (*body[client.SiteShard], error) {
	site, err := parseSite(in.Site)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, drainWithin)
	defer cancel()
	out, err := s.views.MoveSite(ctx, site, in.Body.Shard, in.Body.Revision)
	if errors.Is(err, ErrRefused) {
		return nil, huma.Error409Conflict(err.Error())
	}
	if err != nil {
		return nil, answered(err, "site "+in.Site, "/v1/sites")
	}
	return ok(out), nil
}
