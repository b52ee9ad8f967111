package api

import (
	"context"
	"errors"
	"slices"

	"github.com/atrium-iot/atrium/cloud/api/client"
	"github.com/atrium-iot/atrium/cloud/catalog/document"
	"github.com/atrium-iot/atrium/shared/config"
	"github.com/atrium-iot/atrium/shared/id"
	"github.com/atrium-iot/atrium/shared/pipeline"
	"github.com/atrium-iot/atrium/shared/wire"
)

// numbersOnly refuses a pipeline that would read a text, as far as its devices
// are known: of those that come later such rows count as bad.
func (d *documents) numbersOnly(ctx context.Context, doc *document.Document) error {
	source := doc.Pipeline.Source()
	devices, err := d.read(ctx, doc.Pipeline.Name.Site, source)
	if err != nil {
		return err
	}
	for i, point := range source.Points {
		for _, device := range devices {
			if slices.ContainsFunc(device.Points, func(p client.Point) bool {
				return p.Point == string(point) && p.Kind == wire.KindText.String()
			}) {
				return doc.Errorf(config.Index("$.points", i), "%s of %s is a text, and pipelines read numbers", point, device.Device)
			}
		}
	}
	return nil
}

// read returns the devices that a pipeline reads.
func (d *documents) read(ctx context.Context, site id.Site, source pipeline.Source) ([]client.Device, error) {
	all, err := d.views.Devices(ctx, site)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnavailable):
		return nil, nil // no device has spoken yet, or nobody knows
	case err != nil || len(source.Devices)+len(source.Rooms) == 0:
		return all, err
	}
	names := make(map[string]bool)
	for _, name := range source.Devices {
		names[id.Device{Site: site, Name: name}.String()] = true
	}
	for _, name := range source.Rooms {
		room, err := d.views.Room(ctx, id.Room{Site: site, Name: name})
		if err != nil && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrUnavailable) {
			return nil, err
		}
		for _, device := range room.Devices {
			names[device] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(d client.Device) bool { return !names[d.Device] }), nil
}
