package client

// Event is a change in the live stream of a site: exactly one of the pointers
// is set. The first events of a stream are the whole state, one entity each,
// and end with Ready. An entity that changes several times between two events
// is sent once, as it then is; one that has not changed may be sent again, as
// when its site gets another owner.
type Event struct {
	Site    *Summary  `json:"site,omitempty"`
	Gateway *Gateway  `json:"gateway,omitempty"`
	Device  *Device   `json:"device,omitempty"`
	Room    *Room     `json:"room,omitempty"`
	Alarm   *Alarm    `json:"alarm,omitempty"`
	Command *Command  `json:"command,omitempty"`
	Gone    *Gone     `json:"gone,omitempty"`
	Ready   *struct{} `json:"ready,omitempty"`
}

// Summary is a site in short.
type Summary struct {
	Site     string `json:"site"`
	Gateways int    `json:"gateways"`
	Devices  int    `json:"devices"`
	Live     int    `json:"live"`
	Silent   int    `json:"silent"`
	Alarms   int    `json:"alarms" doc:"Active ones."`
}

// Gone says that something that the stream has told of is no more.
type Gone struct {
	Kind   string `json:"kind" doc:"room, alarm or command"`
	Name   string `json:"name" doc:"Of the room, the alarm's pipeline, or the command's id."`
	Device string `json:"device,omitempty" doc:"Of an alarm: whose it was."`
	Stage  int    `json:"stage,omitempty" doc:"Of an alarm: its stage."`
}
