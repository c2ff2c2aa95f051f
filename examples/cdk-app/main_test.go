package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/jsii-runtime-go"
)

func TestMain(m *testing.M) {
	code := m.Run()
	jsii.Close()
	os.Exit(code)
}

func TestTheStackHasTheBuilderNextToItsOwn(t *testing.T) {
	app := awscdk.NewApp(&awscdk.AppProps{Outdir: jsii.String(t.TempDir())})
	newPlatform(app, "platform")
	text, err := os.ReadFile(filepath.Join(*app.Synth(nil).Directory(), "platform.template.json"))
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]struct{ Type string }
		Outputs   map[string]any
	}
	if err := json.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, resource := range template.Resources {
		kinds[resource.Type]++
	}
	for kind, want := range map[string]int{
		"AWS::CodeBuild::Project": 1, "AWS::ECR::Repository": 3, "AWS::IAM::Role": 3, "AWS::Scheduler::Schedule": 1, "AWS::S3::Bucket": 2,
	} {
		if kinds[kind] != want {
			t.Errorf("%d resources of type %s, want %d", kinds[kind], kind, want)
		}
	}
	if template.Outputs["ProjectName"] == nil {
		t.Errorf("flexbuild's command finds no builder by the outputs %q", slices.Collect(maps.Keys(template.Outputs)))
	}
}
