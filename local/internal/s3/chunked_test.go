package s3

import (
	"bytes"
	"fmt"
	"io"
	"testing"
)

// FuzzChunkedReader checks that any body ends, and that only what was encoded
// comes out of a well-formed one.
func FuzzChunkedReader(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\n\r\n"), 3)
	f.Add([]byte("0\r\na:b\r\n\r\n"), 1)
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		n, _ := io.Copy(io.Discard, newChunkedReader(bytes.NewReader(data)))
		if n > int64(len(data)) {
			t.Errorf("%d bytes came out of %d", n, len(data))
		}
		size = max(1, size&0xff)
		var coded bytes.Buffer
		for rest := data; len(rest) > 0; {
			chunk := rest[:min(size, len(rest))]
			rest = rest[len(chunk):]
			fmt.Fprintf(&coded, "%x\r\n%s\r\n", len(chunk), chunk)
		}
		coded.WriteString("0\r\n\r\n")
		got, err := io.ReadAll(newChunkedReader(&coded))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("round trip of %q: %q, %v", data, got, err)
		}
	})
}
