package room_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/atrium-iot/atrium/cloud/room"
)

func TestARoomIsReadWithItsDevicesInOrder(t *testing.T) {
	r, err := room.Parse("kitchen.yaml", []byte("kind: room\nname: hq/floor-1/kitchen\ntitle: Küche\ndevices: [t2, relay-1, t1]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Name.String() != "hq/floor-1/kitchen" || r.Title != "Küche" || !slices.Equal(r.Devices, []string{"relay-1", "t1", "t2"}) {
		t.Fatalf("read %+v", r)
	}
	for _, none := range []string{"kind: room\nname: hq/floor-1\n", "kind: room\nname: hq/floor-1\ndevices: []\n"} {
		if r, err := room.Parse("floor.yaml", []byte(none)); err != nil || len(r.Devices) != 0 {
			t.Errorf("a room without devices: %+v, %v", r, err)
		}
	}
}

// I6: the error names line and column, and says what is wanted.
func TestABadRoomIsRefusedWithItsPlace(t *testing.T) {
	const head = "kind: room\nname: hq/kitchen\n"
	for _, f := range []struct{ text, want string }{
		{"name: hq/kitchen\n", `r.yaml:1:1: key "kind": missing`},
		{"kind: room\n", `r.yaml:1:1: key "name": missing`},
		{"kind: pipeline\nname: hq/kitchen\n", `r.yaml:1:7: key "kind": want room, got "pipeline"`},
		{"kind: room\nname: kitchen\n", `r.yaml:2:7: key "name": room "kitchen": want SITE/ROOM`},
		{"kind: room\nname: hq/Kitchen\n", `r.yaml:2:7: key "name": room "hq/Kitchen": part 2: character 1`},
		{head + "title: \"\\e[31mred\"\n", `r.yaml:3:8: key "title": want a line of printable characters, byte 1`},
		{head + "title: " + strings.Repeat("x", 121) + "\n", `r.yaml:3:8: key "title": 121 bytes, at most 120`},
		{head + "devices: [t1, hq/t2]\n", `r.yaml:3:15: key "devices[1]": want a device's name within site hq, such as t1`},
		{head + "devices: [t1, t2, t1]\n", `r.yaml:3:19: key "devices[2]": t1 is given twice`},
		{head + "devices: t1\n", `r.yaml:3:10: key "devices": want a list`},
		{head + "members: [t1]\n", `r.yaml:3:1: key "members": unknown, want one of kind, name, title, devices`},
		{"", "r.yaml: the document is empty"},
		{head + "devices: [t1\n", "r.yaml:3:"},
	} {
		_, err := room.Parse("r.yaml", []byte(f.text))
		if err == nil || !strings.HasPrefix(err.Error(), f.want) {
			t.Errorf("%q:\n got %v\nwant %s", f.text, err, f.want)
		}
	}
}

// I5: a document of legal size may still name too many.
func TestARoomOfTooManyDevicesIsRefused(t *testing.T) {
	var text strings.Builder
	text.WriteString("kind: room\nname: hq/all\ndevices: [")
	for i := range room.MaxDevices + 1 {
		fmt.Fprintf(&text, "d%d,", i)
		if i%100 == 99 {
			text.WriteString("\n  ")
		}
	}
	text.WriteString("]\n")
	_, err := room.Parse("r.yaml", []byte(text.String()))
	if err == nil || !strings.Contains(err.Error(), "r.yaml:3:10") || !strings.Contains(err.Error(), "16385 devices, at most 16384") {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kind: room\nname: hq/floor-1/kitchen\ntitle: Kitchen\ndevices: [t1, relay-1]\n"))
	f.Add([]byte("kind: room\nname: hq/a\ndevices:\n  - t1\n  - t1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := room.Parse("r.yaml", text)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "r.yaml") {
				t.Fatalf("no place: %v", err)
			}
			return
		}
		if !slices.IsSorted(r.Devices) || len(slices.Compact(slices.Clone(r.Devices))) != len(r.Devices) {
			t.Fatalf("devices %q", r.Devices)
		}
		var p room.Plan
		if _, err := p.Put(r); err != nil || !slices.Equal(p.Members(r.Name.Name), r.Devices) {
			t.Fatalf("%v: members %q of %q", err, p.Members(r.Name.Name), r.Devices)
		}
	})
}
