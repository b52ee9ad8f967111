package config_test

import (
	"testing"

	"github.com/atrium-iot/atrium/shared/config"
)

func TestJSONBecomesYAMLWithKeysInTheirOrder(t *testing.T) {
	got, err := config.FromJSON([]byte(`{"device":"hq/t1","points":[{"point":"on","value":null}],"at":"2026-05-04T12:00:00Z"}`))
	if want := "device: hq/t1\npoints:\n- point: \"on\"\n  value: null\nat: \"2026-05-04T12:00:00Z\"\n"; err != nil || string(got) != want {
		t.Errorf("%v\ngot\n%s\nwant\n%s", err, got, want)
	}
	if _, err := config.FromJSON([]byte(`{"device":`)); err == nil {
		t.Error("half a value was written")
	}
}
