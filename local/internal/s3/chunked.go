package s3

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
)

const (
	maxChunkLine   = 4 << 10 // a chunk's header or a trailer line, in bytes
	maxTrailerSize = 16      // trailer lines
)

// A chunkedReader reads the aws-chunked coding:
//
//	SIZE-IN-HEX[;extension] CRLF data CRLF … 0 CRLF name:value CRLF … CRLF
//
// Its trailer is complete when Read has returned io.EOF. A body that ends
// before its end is io.ErrUnexpectedEOF, so that a cut upload is never taken
// for a whole one.
type chunkedReader struct {
	r       *bufio.Reader
	left    int64 // bytes left of the current chunk
	started bool
	err     error
	trailer http.Header
}

func newChunkedReader(r io.Reader) *chunkedReader {
	return &chunkedReader{r: bufio.NewReaderSize(r, maxChunkLine), trailer: http.Header{}}
}

// Read implements io.Reader.
func (c *chunkedReader) Read(p []byte) (int, error) {
	if c.err == nil && c.left == 0 {
		c.err = c.nextChunk()
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err != nil {
		c.err = unexpected(err)
	}
	return n, c.err
}

// nextChunk reads up to the data of the next chunk; after the last chunk it
// reads the trailer and returns io.EOF.
func (c *chunkedReader) nextChunk() error {
	if c.started {
		if end, err := c.line(); err != nil || end != "" {
			return orMalformed(err, "data that is longer than its size")
		}
	}
	c.started = true
	header, err := c.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(header, ";")
	n, err := strconv.ParseUint(size, 16, 62)
	if err != nil {
		return orMalformed(nil, "the size "+strconv.Quote(size))
	}
	if c.left = int64(n); n == 0 {
		return c.readTrailer()
	}
	return nil
}

func (c *chunkedReader) readTrailer() error {
	for range maxTrailerSize {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			return io.EOF
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return orMalformed(nil, "a trailer line without a colon")
		}
		c.trailer.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return orMalformed(nil, "more than "+strconv.Itoa(maxTrailerSize)+" trailer lines")
}

// line reads a line that ends in CRLF, which it leaves out.
func (c *chunkedReader) line() (string, error) {
	line, err := c.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		return "", orMalformed(nil, "a line that is too long")
	}
	if err != nil {
		return "", unexpected(err)
	}
	text, ok := strings.CutSuffix(string(line), "\r\n")
	if !ok {
		return "", orMalformed(nil, "a line that does not end in CRLF")
	}
	return text, nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// orMalformed returns err, or what is wrong with the coding when there is none.
func orMalformed(err error, what string) error {
	if err != nil {
		return err
	}
	return failure("InvalidRequest", "the aws-chunked body has %s", what)
}
