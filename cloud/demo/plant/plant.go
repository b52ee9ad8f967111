// Package plant is what stands in the demonstration, and where: two sites with
// ten simulated chips each, five rooms and the pipelines over them, as the files
// that a user would write. Write puts them into a folder; nothing here runs.
package plant

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed *.yaml
var files embed.FS

// CatalogFile is the name of the catalog's documents in the folder.
const CatalogFile = "catalog.yaml"

// Site is a site of the demonstration.
type Site struct {
	Name    string
	Gateway string // SITE/NAME
	Heater  string // SITE/DEVICE: the relay that a key switches
	Sensor  Sensor // the one that a key breaks
}

// Sensor is a chip and the device that it is.
type Sensor struct {
	Device  string // SITE/DEVICE
	Bus     string // on the board
	Address string
}

// Sites returns the sites in the order in which they are shown.
func Sites() []Site {
	return []Site{
		{
			Name: "hq", Gateway: "hq/gw-1", Heater: "hq/office-heater",
			Sensor: Sensor{Device: "hq/office-air", Bus: "sim-i2c-1", Address: "0x44"},
		},
		{
			Name: "lab", Gateway: "lab/gw-1", Heater: "lab/hall-heater",
			Sensor: Sensor{Device: "lab/hall-temp", Bus: "sim-i2c-1", Address: "0x48"},
		},
	}
}

// Addresses is what of a site's edge.yaml is chosen when it starts.
type Addresses struct {
	Link string // HOST:PORT of its way to the cloud
	HTTP string // HOST:PORT that its gateway serves
}

// Folder returns where a site's files are, below dir.
func Folder(dir, site string) string { return filepath.Join(dir, site) }

// Write puts the files into dir, which it makes: CatalogFile, and board.yaml and
// edge.yaml in a folder for each site.
func Write(dir string, at map[string]Addresses) error {
	for _, s := range Sites() {
		folder := Folder(dir, s.Name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("plant: %w", err)
		}
		for _, name := range []string{"board.yaml", "edge.yaml"} {
			text, err := fill(s.Name+"-"+name, at[s.Name])
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600)
			}
			if err != nil {
				return fmt.Errorf("plant: %s: %w", s.Name, err)
			}
		}
	}
	text, err := Catalog()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, CatalogFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("plant: %w", err)
	}
	return nil
}

// Catalog returns the catalog's documents, as a file that `atrium apply` takes.
func Catalog() ([]byte, error) { return files.ReadFile(CatalogFile) }

func fill(name string, at Addresses) (string, error) {
	t, err := template.ParseFS(files, name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, at); err != nil {
		return "", err
	}
	return b.String(), nil
}
