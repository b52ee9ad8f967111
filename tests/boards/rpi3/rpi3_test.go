package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/atrium-iot/atrium/edge/agent"
)

func TestTheGuestsConfigurationIsOneThatTheAgentTakes(t *testing.T) {
	c, err := agent.ParseConfig("edge.yaml", []byte(edgeYAML("10.0.2.2:7443")))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Devices) != 1 || c.Devices[0].Device.String() != device || c.Gateway.String() != gateway || c.Cloud[0] != "10.0.2.2:7443" {
		t.Errorf("configuration %+v", c)
	}
}

// QEMU keeps millidegrees * 256 / 1000, rounded towards zero, and the chip has
// the upper 12 of those 16 bits (SLLS648, table 5).
func TestATemperatureSurvivesTheModelOnlyWithAllBits(t *testing.T) {
	for _, celsius := range temperatures {
		kept := int16(milliDegrees(celsius) * 256 / 1000)
		if got := float64(kept>>4) / 16; got != celsius {
			t.Errorf("%g degC reads as %g", celsius, got)
		}
		if got := float64(kept>>5) / 8; got == celsius {
			t.Errorf("%g degC needs only 11 bits", celsius)
		}
	}
}

// cloud answers for a twin, with these points.
func cloud(t *testing.T, status int, points string) *twin {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if _, err := w.Write([]byte(`{"device": "hq/hall", "points": [` + points + `]}`)); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	tw, err := newTwin(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return tw
}

func TestOnlyTheVeryValueOfGoodQualityIsTaken(t *testing.T) {
	ended := make(chan struct{})
	close(ended) // so that nothing is waited for
	for points, want := range map[string]string{
		`{"point": "temperature", "value": 21.0625, "unit": "Cel", "quality": "good"}`: "",
		`{"point": "temperature", "value": 21, "unit": "Cel", "quality": "good"}`:      "shows 21 Cel",
		`{"point": "temperature", "value": 21.0625, "unit": "Cel", "quality": "bad"}`:  "nothing yet",
		`{"point": "temperature", "value": null, "unit": "Cel", "quality": "good"}`:    "nothing yet",
		``: "nothing yet",
	} {
		err := cloud(t, http.StatusOK, points).await(t.Context(), ended, time.Hour, 21.0625)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", points, err, want)
		}
	}
}
