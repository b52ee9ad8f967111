package client

import "time"

// Document is a document of the catalog, as it was applied.
type Document struct {
	Kind      string    `json:"kind" doc:"site, gateway, room, pipeline or profile"`
	Name      string    `json:"name" example:"hq/floor-1/kitchen"`
	Revision  uint64    `json:"revision"`
	Text      string    `json:"text" doc:"The YAML document, kind and name included."`
	AppliedAt time.Time `json:"applied_at"`
}

// Node is a node of the cluster.
type Node struct {
	Node      string    `json:"node"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	Zone      string    `json:"zone"`
	Shards    []int     `json:"shards" doc:"That it owns."`
	Gateways  int       `json:"gateways" doc:"Connections."`
}
