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
	State     string    `json:"state" enum:"live,draining,dead" doc:"As the node that answers sees it."`
	Core      bool      `json:"core" doc:"Whether it holds the cluster's store; a worker does not."`
	Capacity  float64   `json:"capacity" doc:"Its cores."`
	CPU       float64   `json:"cpu" doc:"The share of them that was busy of late, 0 to 1."`
	AckMS     float64   `json:"ack_ms" doc:"How long 99 of 100 messages of late took from their arrival at its gate until they were durable."`
	DelayMS   float64   `json:"delay_ms" doc:"How long messages of late waited at most in the logs of its shards until it applied them."`
	Overload  []string  `json:"overload,omitempty" doc:"Why it holds back, as docs/overload.md names it: disk, memory, delay."`
	SeenAt    time.Time `json:"seen_at" doc:"When it was last heard of."`
}
