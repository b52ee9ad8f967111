module github.com/atrium-iot/atrium/tests/reader

go 1.26.0

require (
	github.com/klauspost/compress v1.20.3
	github.com/ugorji/go/codec v1.3.2
)
