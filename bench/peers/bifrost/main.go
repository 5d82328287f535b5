// Bifrost's core behind a small server, for bench/peers.py: OpenAI's chat completions, complete and streamed.
//
//	bifrost 127.0.0.1:PORT http://127.0.0.1:PROVIDER
//
// The server is fasthttp and the JSON is Bifrost's own, as in Bifrost's own server. Nothing else of that server is here: no
// configuration store, no plugins, no logs of requests.
package main

import (
	"bufio"
	"context"
	"log"
	"os"

	bifrost "github.com/maximhq/bifrost/core"
	"github.com/maximhq/bifrost/core/providers/openai"
	"github.com/maximhq/bifrost/core/schemas"
	"github.com/valyala/fasthttp"
)

type account struct{ address string }

func (account) GetConfiguredProviders() ([]schemas.ModelProvider, error) {
	return []schemas.ModelProvider{schemas.OpenAI}, nil
}

func (account) GetKeysForProvider(context.Context, schemas.ModelProvider) ([]schemas.Key, error) {
	return []schemas.Key{{ID: "bench", Value: *schemas.NewEnvVar("sk-bench"), Models: schemas.WhiteList{"*"}, Weight: 1}}, nil
}

func (one account) GetConfigForProvider(schemas.ModelProvider) (*schemas.ProviderConfig, error) {
	config := &schemas.ProviderConfig{NetworkConfig: schemas.NetworkConfig{BaseURL: one.address}}
	config.CheckAndSetDefaults()
	return config, nil
}

func main() {
	client, err := bifrost.Init(context.Background(), schemas.BifrostConfig{
		Account: account{os.Args[2]},
		Logger:  bifrost.NewDefaultLogger(schemas.LogLevelError),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &fasthttp.Server{Handler: func(ctx *fasthttp.RequestCtx) { chat(client, ctx) }}
	log.Fatal(server.ListenAndServe(os.Args[1]))
}

func chat(client *bifrost.Bifrost, ctx *fasthttp.RequestCtx) {
	var body openai.OpenAIChatRequest
	if err := schemas.Unmarshal(ctx.PostBody(), &body); err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	// Not fasthttp's own context: the stream is written after the handler has returned.
	call, cancel := schemas.NewBifrostContextWithCancel(context.Background())
	body.MaxCompletionTokens = body.MaxTokens // it passes only the newer name on
	request := body.ToBifrostChatRequest(call)
	if body.Stream == nil || !*body.Stream {
		defer cancel()
		answer, failure := client.ChatCompletionRequest(call, request)
		if failure != nil {
			fail(ctx, failure)
			return
		}
		data, _ := schemas.Marshal(answer)
		ctx.SetContentType("application/json")
		ctx.SetBody(data)
		return
	}
	chunks, failure := client.ChatCompletionStreamRequest(call, request)
	if failure != nil {
		cancel()
		fail(ctx, failure)
		return
	}
	ctx.SetContentType("text/event-stream")
	ctx.SetBodyStreamWriter(func(to *bufio.Writer) {
		defer cancel()
		for chunk := range chunks {
			data, _ := schemas.Marshal(chunk)
			to.WriteString("data: ")
			to.Write(data)
			to.WriteString("\n\n")
			// What has arrived together is sent together.
			if len(chunks) == 0 && to.Flush() != nil {
				return
			}
		}
		to.WriteString("data: [DONE]\n\n")
	})
}

func fail(ctx *fasthttp.RequestCtx, failure *schemas.BifrostError) {
	data, _ := schemas.Marshal(failure)
	ctx.Error(string(data), fasthttp.StatusBadGateway)
}
