// Package id names things: sites, gateways, devices, points, runs, boots and
// schemas. It holds the grammar of names and the fixed-size identifiers of the
// protocol, and nothing that looks anything up. Every name that comes from
// outside passes through a Parse function here before any other package sees
// it, so that a name in memory is always a valid one.
package id

import (
	"fmt"
	"strings"
)

// MaxName bounds one segment of a name, in bytes: 63 is the limit of a DNS
// label (RFC 1035, 2.3.4), so that a name may become one.
const MaxName = 63

// Site is the name of a building or line, the unit of locality and of state.
type Site string

// Point is one measured quantity of a device, for example "temperature".
type Point string

// Gateway is an edge agent of a site.
type Gateway struct {
	Site Site
	Name string
}

// Device is a sensor or actuator of a site, whichever gateway it hangs on.
type Device struct {
	Site Site
	Name string
}

// Room is a group of devices of a site. Name is a path of at most MaxDepth
// labels: "floor-1/kitchen" lies in "floor-1".
type Room struct {
	Site Site
	Name string
}

// MaxDepth bounds the labels of a room's name: campus, building, wing, floor,
// zone, room, shelf and place are eight.
const MaxDepth = 8

// Pipeline is a named chain of stages over a site's readings.
type Pipeline struct {
	Site Site
	Name string
}

// String returns "site/room", where room may have slashes.
func (r Room) String() string { return string(r.Site) + "/" + r.Name }

// String returns "site/pipeline".
func (p Pipeline) String() string { return string(p.Site) + "/" + p.Name }

// String returns "site/gateway".
func (g Gateway) String() string { return string(g.Site) + "/" + g.Name }

// String returns "site/device".
func (d Device) String() string { return string(d.Site) + "/" + d.Name }

// ParseSite accepts lower-case letters, digits and hyphens, beginning and
// ending with a letter or digit, of at most MaxName bytes.
func ParseSite(s string) (Site, error) {
	if err := checkLabel(s); err != nil {
		return "", fmt.Errorf("site %q: %w", s, err)
	}
	return Site(s), nil
}

// ParseGateway accepts "site/gateway", each part as ParseSite does.
func ParseGateway(s string) (Gateway, error) {
	site, name, err := pair(s)
	if err != nil {
		return Gateway{}, fmt.Errorf("gateway %q: %w", s, err)
	}
	return Gateway{site, name}, nil
}

// ParseDevice accepts "site/device", each part as ParseSite does.
func ParseDevice(s string) (Device, error) {
	site, name, err := pair(s)
	if err != nil {
		return Device{}, fmt.Errorf("device %q: %w", s, err)
	}
	return Device{site, name}, nil
}

// ParsePipeline accepts "site/pipeline", each part as ParseSite does.
func ParsePipeline(s string) (Pipeline, error) {
	site, name, err := pair(s)
	if err != nil {
		return Pipeline{}, fmt.Errorf("pipeline %q: %w", s, err)
	}
	return Pipeline{site, name}, nil
}

// ParseRoom accepts "site/label/label...", each part as ParseSite does.
func ParseRoom(s string) (Room, error) {
	labels := strings.Split(s, "/")
	if n := len(labels) - 1; n < 1 || n > MaxDepth {
		return Room{}, fmt.Errorf("room %q: want SITE/ROOM, with at most %d names in ROOM", s, MaxDepth)
	}
	for i, l := range labels {
		if err := checkLabel(l); err != nil {
			return Room{}, fmt.Errorf("room %q: part %d: %w", s, i+1, err)
		}
	}
	site, name, _ := strings.Cut(s, "/")
	return Room{Site(site), name}, nil
}

// ParsePoint accepts lower-case letters, digits and underscores, beginning
// with a letter, of at most MaxName bytes: an identifier in expressions.
func ParsePoint(s string) (Point, error) {
	if len(s) == 0 || len(s) > MaxName {
		return "", fmt.Errorf("point %q: want 1 to %d characters", s, MaxName)
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || i > 0 && (c == '_' || c >= '0' && c <= '9') {
			continue
		}
		return "", fmt.Errorf("point %q: character %d is %q: want a-z first, then a-z, 0-9 or _", s, i+1, c)
	}
	return Point(s), nil
}

func pair(s string) (Site, string, error) {
	site, name, ok := strings.Cut(s, "/")
	if !ok {
		return "", "", fmt.Errorf("want SITE/NAME with one slash")
	}
	if err := checkLabel(site); err != nil {
		return "", "", fmt.Errorf("site part: %w", err)
	}
	if err := checkLabel(name); err != nil {
		return "", "", fmt.Errorf("name part: %w", err)
	}
	return Site(site), name, nil
}

func checkLabel(s string) error {
	if len(s) == 0 || len(s) > MaxName {
		return fmt.Errorf("want 1 to %d characters, got %d", MaxName, len(s))
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		inner := i > 0 && i < len(s)-1
		if !alnum && (c != '-' || !inner) {
			return fmt.Errorf("character %d is %q: want a-z, 0-9 or an inner hyphen", i+1, c)
		}
	}
	return nil
}

// MarshalText writes the gateway's name, as String does.
func (g Gateway) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// UnmarshalText is ParseGateway, for configuration files.
func (g *Gateway) UnmarshalText(text []byte) (err error) {
	*g, err = ParseGateway(string(text))
	return err
}
