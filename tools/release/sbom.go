package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/package-url/packageurl-go"
	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"
)

// sbom returns the list of the modules that a binary contains, in the form of
// SPDX 2.3. They are read from the binary itself.
func sbom(b *binary) ([]byte, error) {
	sum := sha256.Sum256(b.content)
	main := pkg(b.info.Main.Path, b.version(), "")
	main.PackageChecksums = []common.Checksum{{Algorithm: common.SHA256, Value: fmt.Sprintf("%x", sum)}}
	main.PackageSourceInfo = "commit " + b.commit()
	main.PrimaryPackagePurpose = "APPLICATION"
	doc := &spdx.Document{
		SPDXVersion:       spdx.Version,
		DataLicense:       spdx.DataLicense,
		SPDXIdentifier:    "DOCUMENT",
		DocumentName:      b.name(),
		DocumentNamespace: fmt.Sprintf("https://%s/spdx/%s-%x", b.info.Main.Path, b.name(), sum),
		CreationInfo: &spdx.CreationInfo{
			Created:  stamp(b.time),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "flexbuild-release"}},
		},
		Packages:      []*spdx.Package{main},
		Relationships: []*spdx.Relationship{related("DOCUMENT", "DESCRIBES", main)},
	}
	contained := []*spdx.Package{pkg("stdlib", strings.TrimPrefix(b.info.GoVersion, "go"), "")}
	for _, m := range b.info.Deps {
		contained = append(contained, pkg(m.Path, m.Version, m.Sum))
	}
	for _, p := range contained {
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, related(main.PackageSPDXIdentifier, "CONTAINS", p))
	}
	var text bytes.Buffer
	err := json.Write(doc, &text, json.Indent(" "))
	return text.Bytes(), err
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.]+`)

// pkg describes a module. Its sum is that of go.sum, which is the hash of a
// list of files and so none of SPDX's checksums.
func pkg(module, version, sum string) *spdx.Package {
	p := &spdx.Package{
		PackageName:             module,
		PackageSPDXIdentifier:   common.ElementID("Package-" + notInID.ReplaceAllString(module, "-")),
		PackageVersion:          version,
		PackageDownloadLocation: "NOASSERTION",
		PackageLicenseConcluded: "NOASSERTION",
		PackageLicenseDeclared:  "NOASSERTION",
		PackageCopyrightText:    "NOASSERTION",
		PackageExternalReferences: []*spdx.PackageExternalReference{
			{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: purl(module, version)},
		},
	}
	if sum != "" {
		p.PackageComment = "go.sum: " + sum
	}
	return p
}

// purl is the address by which scanners for vulnerabilities know a module.
func purl(module, version string) string {
	namespace, name := path.Split(module)
	return packageurl.NewPackageURL(packageurl.TypeGolang, strings.TrimSuffix(namespace, "/"), name, version, nil, "").ToString()
}

func related(from common.ElementID, how string, to *spdx.Package) *spdx.Relationship {
	return &spdx.Relationship{
		RefA:         common.MakeDocElementID("", string(from)),
		RefB:         common.MakeDocElementID("", string(to.PackageSPDXIdentifier)),
		Relationship: how,
	}
}
