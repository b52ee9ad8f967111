package profile

import "time"

// The documents as they are written; see the package comment. Ranges are
// limits with their reasons in limits.go.

type document struct {
	ID      string        `yaml:"id,required"`
	Version int           `yaml:"version,required" range:"1..1000000"`
	Title   string        `yaml:"title"`
	Bus     busDoc        `yaml:"bus,required"`
	Tick    time.Duration `yaml:"tick" range:"1us..1s"`
	Every   time.Duration `yaml:"every" range:"10ms..24h"`
	Calib   struct {
		Steps []stepDoc         `yaml:"steps,required"`
		Raw   map[string]rawDoc `yaml:"raw,required"`
	} `yaml:"calib"`
	Init     []stepDoc             `yaml:"init"`
	Read     []stepDoc             `yaml:"read"`
	Lines    map[string]lineDoc    `yaml:"lines"`
	Raw      map[string]rawDoc     `yaml:"raw,required"`
	Let      []letDoc              `yaml:"let"`
	Points   []pointDoc            `yaml:"points,required"`
	Commands map[string]commandDoc `yaml:"commands"`
}

type busDoc struct {
	Type  string   `yaml:"type,required"`
	Addr  []uint16 `yaml:"addr" range:"0x08..0x77"`
	MaxHz int      `yaml:"max_hz" range:"1000..5000000"`
}

type stepDoc struct {
	Tx    *txDoc         `yaml:"tx"`
	Delay *time.Duration `yaml:"delay" range:"10us..10s"`
	Poll  *pollDoc       `yaml:"poll"`
	CRC   *crcDoc        `yaml:"crc"`
}

type txDoc struct {
	W  []byte `yaml:"w"`
	R  int    `yaml:"r" range:"1..256"`
	As string `yaml:"as"`
}

type pollDoc struct {
	W     []byte        `yaml:"w,required"`
	Mask  byte          `yaml:"mask,required" range:"1.."`
	Eq    byte          `yaml:"eq"`
	Every time.Duration `yaml:"every,required" range:"100us..1s"`
	Limit time.Duration `yaml:"limit,required" range:"100us..10s"`
}

type crcDoc struct {
	Poly byte `yaml:"poly,required" range:"1.."`
	Init byte `yaml:"init"`
	Xor  byte `yaml:"xor"`
	Word int  `yaml:"word,required" range:"1..255"`
}

type lineDoc struct {
	Direction string `yaml:"direction,required"`
	Safe      string `yaml:"safe"`
	Pull      string `yaml:"pull"`
}

type rawDoc struct {
	Line  string  `yaml:"line"`
	From  string  `yaml:"from"`
	At    int     `yaml:"at" range:"0..255"`
	Type  string  `yaml:"type"`
	Shift uint    `yaml:"shift" range:"..31"`
	Mask  uint64  `yaml:"mask" range:"1..0xffffffff"`
	Sign  uint    `yaml:"sign" range:"2..32"`
	Parts [][]int `yaml:"parts" range:"0..255"`
}

type letDoc struct {
	Name string `yaml:"name,required"`
	Expr string `yaml:"expr,required"`
}

type pointDoc struct {
	Name       string    `yaml:"name,required"`
	Expr       string    `yaml:"expr,required"`
	Unit       string    `yaml:"unit"`
	Kind       string    `yaml:"kind"`
	Resolution *decimal  `yaml:"resolution"`
	Range      []float64 `yaml:"range"`
	Deadband   float64   `yaml:"deadband" range:"0.."`
}

type commandDoc struct {
	Args       map[string]argDoc `yaml:"args"`
	Do         []actionDoc       `yaml:"do,required"`
	Confirm    string            `yaml:"confirm"`
	Idempotent bool              `yaml:"idempotent"`
}

type argDoc struct {
	Kind  string    `yaml:"kind"`
	Range []float64 `yaml:"range"`
}

type actionDoc struct {
	Line  string        `yaml:"line,required"`
	Level string        `yaml:"level,required"`
	Hold  time.Duration `yaml:"hold" range:"1ms..10s"`
}
