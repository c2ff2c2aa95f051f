package buildcontext

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// archiveName is the only file of the ZIP file. It is stored without another
// compression, so that no program which unpacks the ZIP file can lose anything.
const archiveName = "source.tar.gz"

// maxArchive is the maximum size of a file in a ZIP file without the 64-bit
// extension, which CodeBuild may not support.
const maxArchive = 1<<32 - 1 - 1<<10

// ZipFile is what [Tree.WriteZip] writes to.
type ZipFile interface {
	io.Writer
	io.WriterAt
}

// WriteZip packs the tree: a tar, compressed with gzip, as the only entry
// source.tar.gz of a ZIP file, which it writes to an empty file. It returns the
// SHA-256 of the tar before compression, in hex. The same tree gives the same
// bytes.
//
// If something cannot be packed, the error is a [ContentError]. A file that
// changes meanwhile is packed as it was when it was read. A file that becomes
// shorter is an error, and a deleted file is left out. While it packs, WriteZip
// calls progress with the number of bytes of the tar that have been added.
func (t *Tree) WriteZip(ctx context.Context, file ZipFile, progress func(int)) (digest string, err error) {
	if _, err := file.Write(localHeader(0, 0)); err != nil { // replaced at the end
		return "", err
	}
	content := &zipContent{file: file}
	if digest, err = t.writeGzip(ctx, content, progress); err != nil {
		return "", err
	}
	_, errDirectory := file.Write(centralDirectory(content.sum, content.size))
	_, errHeader := file.WriteAt(localHeader(content.sum, content.size), 0)
	return digest, errors.Join(errDirectory, errHeader)
}

// zipContent writes the content of an entry and records what its header needs.
type zipContent struct {
	file io.Writer
	sum  uint32
	size uint32
}

func (c *zipContent) Write(text []byte) (int, error) {
	if int64(c.size)+int64(len(text)) > maxArchive {
		return 0, &ContentError{fmt.Errorf("its files have more than %d bytes when they are packed, which is what an upload may have: name what the build does not need in %s", int64(maxArchive), ignoreFile)}
	}
	c.sum = crc32.Update(c.sum, crc32.IEEETable, text)
	c.size += uint32(len(text))
	return c.file.Write(text)
}

// These names are those of the ZIP specification. archive/zip can write a local
// header whose numbers are known only after the content in one form only, which
// readers of streams do not accept for a stored entry.
const (
	zipVersion = 10       // of the format: the first
	zipUnix    = 3 << 8   // the attributes are a Unix mode
	zipDate    = 1<<5 | 1 // 1 January 1980, the earliest
	zipMode    = 0o100644
)

func localHeader(sum, size uint32) []byte {
	return append(littleEndian(uint32(0x04034b50), uint16(zipVersion), uint16(0), uint16(0), uint16(0), uint16(zipDate),
		sum, size, size, uint16(len(archiveName)), uint16(0)), archiveName...)
}

// centralDirectory is the end of the file, behind the entry's content.
func centralDirectory(sum, size uint32) []byte {
	entry := append(littleEndian(uint32(0x02014b50), uint16(zipUnix|zipVersion), uint16(zipVersion), uint16(0), uint16(0), uint16(0), uint16(zipDate),
		sum, size, size, uint16(len(archiveName)), uint16(0), uint16(0), uint16(0), uint16(0), uint32(zipMode<<16), uint32(0)), archiveName...)
	start := uint32(len(localHeader(0, 0))) + size
	return append(entry, littleEndian(uint32(0x06054b50), uint16(0), uint16(0), uint16(1), uint16(1), uint32(len(entry)), start, uint16(0))...)
}

// littleEndian encodes numbers of fixed size one after the other.
func littleEndian(numbers ...any) (text []byte) {
	for _, n := range numbers {
		text, _ = binary.Append(text, binary.LittleEndian, n) // it fails only for other types
	}
	return text
}
