package client

import "time"

// Room is a room with its live aggregates.
type Room struct {
	Room       string      `json:"room" example:"hq/floor-1/kitchen"`
	Title      string      `json:"title,omitempty"`
	Revision   uint64      `json:"revision" doc:"Of the document that describes it."`
	Devices    []string    `json:"devices" doc:"Members, those of the rooms inside it included."`
	Live       int         `json:"live" doc:"Members that speak."`
	Alarms     int         `json:"alarms" doc:"Active ones of its members."`
	Aggregates []Aggregate `json:"aggregates" doc:"By point and unit, over the members that are live and whose newest reading is not bad."`
}

// Aggregate is what the members of a room say about one point together. Of a
// boolean point Mean is the share that is true.
type Aggregate struct {
	Point    string    `json:"point"`
	Unit     string    `json:"unit"`
	Kind     string    `json:"kind" doc:"number, boolean or counter"`
	Count    int       `json:"count" doc:"Members that contribute."`
	Mean     float64   `json:"mean"`
	Min      float64   `json:"min"`
	Max      float64   `json:"max"`
	Any      bool      `json:"any" doc:"One of the values is not 0."`
	NewestAt time.Time `json:"newest_at" doc:"When the latest of the values was sampled."`
}

// Pipeline is a pipeline and what it did.
type Pipeline struct {
	Pipeline string           `json:"pipeline" example:"hq/too-warm"`
	Title    string           `json:"title,omitempty"`
	Revision uint64           `json:"revision" doc:"Of the document; results of different revisions are never mixed."`
	Stages   []string         `json:"stages" doc:"In words, in order."`
	Devices  []PipelineDevice `json:"devices" doc:"That it has read, by name."`
	Count    PipelineCount    `json:"count"`
}

// PipelineDevice is what a pipeline knows of one device.
type PipelineDevice struct {
	Device string    `json:"device"`
	LastAt time.Time `json:"last_at" doc:"Sample time of the newest row."`
	Value  *float64  `json:"value" doc:"What came out of the last stage before the first window or alarm; null before the first."`
	Alarm  string    `json:"alarm,omitempty" doc:"inactive, pending or active; absent without an alarm stage"`
}

// PipelineCount are a pipeline's totals since its revision began.
type PipelineCount struct {
	Rows     uint64 `json:"rows" doc:"Read."`
	Bad      uint64 `json:"bad" doc:"Without a good value of each point."`
	Filtered uint64 `json:"filtered"`
	Late     uint64 `json:"late" doc:"Of a window that was closed: merged into it."`
	TooLate  uint64 `json:"too_late" doc:"Older than the pipeline takes: dropped."`
	Windows  uint64 `json:"windows" doc:"Closed."`
	Raised   uint64 `json:"raised" doc:"Alarms."`
}

// Window is one result of a window stage for one device, late readings
// included.
type Window struct {
	Device string    `json:"device"`
	Stage  int       `json:"stage" doc:"Its index in the pipeline, from 0."`
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Count  uint64    `json:"count"`
	Mean   float64   `json:"mean"`
	Min    float64   `json:"min"`
	Max    float64   `json:"max"`
	First  float64   `json:"first"`
	Last   float64   `json:"last"`
}

// Alarm is the state of an alarm stage for one device.
type Alarm struct {
	Pipeline  string    `json:"pipeline" example:"hq/too-warm"`
	Device    string    `json:"device" example:"hq/t1"`
	Stage     int       `json:"stage" doc:"Its index in the pipeline, from 0."`
	State     string    `json:"state" doc:"active or cleared"`
	Severity  string    `json:"severity" doc:"info, warning or critical"`
	Text      string    `json:"text"`
	Value     float64   `json:"value" doc:"The newest that the stage saw."`
	Threshold float64   `json:"threshold"`
	RaisedAt  time.Time `json:"raised_at" doc:"Sample time of the reading that raised it."`
	ClearedAt time.Time `json:"cleared_at,omitzero"`
	Raised    uint64    `json:"raised" doc:"How often, since the pipeline's revision began."`
}

// AlarmEntry is one step of an alarm, in the log of a site.
type AlarmEntry struct {
	Pipeline  string    `json:"pipeline" example:"hq/too-warm"`
	Device    string    `json:"device" example:"hq/t1"`
	Stage     int       `json:"stage" doc:"Its index in the pipeline, from 0."`
	State     string    `json:"state" doc:"active or inactive"`
	Severity  string    `json:"severity" doc:"info, warning or critical"`
	Text      string    `json:"text"`
	Value     float64   `json:"value" doc:"That caused it."`
	Threshold float64   `json:"threshold"`
	At        time.Time `json:"at" doc:"Sample time of the reading, or end of the window, that caused it."`
	Revision  uint64    `json:"revision" doc:"Of the pipeline."`
}
