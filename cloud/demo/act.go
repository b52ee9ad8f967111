package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/cloud/demo/plant"
	"github.com/atrium-iot/atrium/shared/id"
)

const (
	// maxControl bounds an answer of a control, in bytes: the state of a link or
	// a few faults.
	maxControl = 64 << 10
	// controlTimeout bounds a request to a control, a moment's work on this
	// machine. It is not interrupted half way: what came of it would be unknown.
	controlTimeout = 2 * time.Second
)

// CutLink makes the i-th site's link lose every packet; HealLink ends that.
func (d *Demo) CutLink(i int) error  { return post(d.sites[i].linkURL+"/cut", "") }
func (d *Demo) HealLink(i int) error { return post(d.sites[i].linkURL+"/heal", "") }

// KillGateway and KillCloud end a process as a power switch would. It comes
// back after a few seconds.
func (d *Demo) KillGateway(i int) error { return d.sites[i].gateway.process.Kill() }
func (d *Demo) KillCloud() error        { return d.cloud.process.Kill() }

// BreakSensor unplugs the i-th site's sensor; RepairSensor ends all faults of
// the site's board.
func (d *Demo) BreakSensor(i int) error {
	s := d.sites[i].Sensor
	body, err := json.Marshal(map[string]string{"bus": s.Bus, "address": s.Address, "kind": "unplugged"})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	return post(d.sites[i].faultURL+"/faults", string(body))
}

func (d *Demo) RepairSensor(i int) error {
	return control(http.MethodDelete, d.sites[i].faultURL+"/faults", "")
}

// SwitchHeater sends a command to the i-th site's heater.
func (d *Demo) SwitchHeater(ctx context.Context, i int, on bool) (client.Command, error) {
	dev, err := id.ParseDevice(d.sites[i].Heater)
	if err != nil {
		return client.Command{}, fmt.Errorf("demo: %w", err)
	}
	return d.api.Send(ctx, dev, client.CommandRequest{Command: "set", Args: map[string]any{"on": on}, By: "demo"})
}

// apply puts the documents of the plant into the catalog.
func (d *Demo) apply(ctx context.Context) error {
	text, err := plant.Catalog()
	if err != nil {
		return err
	}
	docs, err := document.ParseFile(plant.CatalogFile, text)
	if err != nil {
		return err
	}
	for _, doc := range docs {
		if _, err := d.api.Put(ctx, doc.Text, client.PutOptions{File: plant.CatalogFile}); err != nil {
			return fmt.Errorf("%s: %w", plant.CatalogFile, err)
		}
	}
	return nil
}

func post(url, body string) error { return control(http.MethodPost, url, body) }

// control sends a request to a control of the simulator.
func control(method, url, body string) error {
	ctx, cancel := context.WithTimeout(context.Background(), controlTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxControl))
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("demo: %s: %s: %s", resp.Request.URL, resp.Status, strings.TrimSpace(string(b)))
	}
	return nil
}
