// Openai-go, the official client, and go-openai, in one program. It prints a line of JSON for each check and model.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	official "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/responses"
	community "github.com/sashabaranov/go-openai"
	"github.com/sashabaranov/go-openai/jsonschema"
)

var (
	ctx     = context.Background()
	baseURL = os.Getenv("BASE_URL")
	apiKey  = os.Getenv("API_KEY")
	client  = official.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey(apiKey), option.WithMaxRetries(0))
	city    = map[string]any{
		"type":                 "object",
		"properties":           map[string]any{"name": map[string]any{"type": "string"}},
		"required":             []string{"name"},
		"additionalProperties": false,
	}
)

func main() {
	checks := []struct {
		name  string
		check func(model string) error
	}{
		{"official_chat", officialChat},
		{"official_stream", officialStream},
		{"official_structured", officialStructured},
		{"official_tools", officialTools},
		{"official_responses", officialResponses},
		{"community_chat", communityChat},
		{"community_stream", communityStream},
		{"community_structured", communityStructured},
	}
	for _, model := range strings.Split(os.Getenv("MODELS"), ",") {
		for _, each := range checks {
			failure := ""
			if err := each.check(model); err != nil {
				failure = err.Error()
			}
			line, err := json.Marshal(struct {
				Check   string `json:"check"`
				Model   string `json:"model"`
				Failure string `json:"failure"`
			}{each.name, model, failure})
			if err != nil {
				panic(err)
			}
			fmt.Println(string(line))
		}
	}
}

func asked(model string) official.ChatCompletionNewParams {
	return official.ChatCompletionNewParams{
		Model:    model,
		Messages: []official.ChatCompletionMessageParamUnion{official.UserMessage("What is the weather in Paris?")},
	}
}

func officialChat(model string) error {
	params := asked(model)
	answer, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	params.Messages = append(params.Messages, answer.Choices[0].Message.ToParam(), official.UserMessage("And tomorrow?"))
	_, err = client.Chat.Completions.New(ctx, params)
	return err
}

func officialStream(model string) error {
	stream := client.Chat.Completions.NewStreaming(ctx, asked(model))
	accumulated := official.ChatCompletionAccumulator{}
	for stream.Next() {
		if !accumulated.AddChunk(stream.Current()) {
			return errors.New("a chunk does not belong to the answer")
		}
	}
	if stream.Err() == nil && accumulated.Choices[0].Message.Content == "" {
		return errors.New("no text")
	}
	return stream.Err()
}

func officialStructured(model string) error {
	params := asked(model)
	params.ResponseFormat = official.ChatCompletionNewParamsResponseFormatUnion{
		OfJSONSchema: &official.ResponseFormatJSONSchemaParam{
			JSONSchema: official.ResponseFormatJSONSchemaJSONSchemaParam{Name: "city", Schema: city, Strict: param.NewOpt(true)},
		},
	}
	answer, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	return hasName(answer.Choices[0].Message.Content)
}

func hasName(text string) error {
	var found struct{ Name string }
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		return err
	}
	if found.Name == "" {
		return fmt.Errorf("no name in %s", text)
	}
	return nil
}

func officialTools(model string) error {
	params := asked(model)
	params.Tools = []official.ChatCompletionToolUnionParam{official.ChatCompletionFunctionTool(
		official.FunctionDefinitionParam{Name: "weather", Parameters: city, Strict: param.NewOpt(true)},
	)}
	params.ToolChoice = official.ChatCompletionToolChoiceOptionUnionParam{OfAuto: param.NewOpt("required")}
	params.ParallelToolCalls = param.NewOpt(false)
	answer, err := client.Chat.Completions.New(ctx, params)
	if err != nil {
		return err
	}
	message := answer.Choices[0].Message
	if len(message.ToolCalls) != 1 {
		return fmt.Errorf("%d calls", len(message.ToolCalls))
	}
	params.ToolChoice = official.ChatCompletionToolChoiceOptionUnionParam{}
	params.Messages = append(params.Messages, message.ToParam(), official.ToolMessage("7 degrees", message.ToolCalls[0].ID))
	_, err = client.Chat.Completions.New(ctx, params)
	return err
}

func officialResponses(model string) error {
	answer, err := client.Responses.New(ctx, responses.ResponseNewParams{
		Model: model,
		Input: responses.ResponseNewParamsInputUnion{OfString: param.NewOpt("Say hello.")},
		Store: param.NewOpt(false),
	})
	if err == nil && answer.OutputText() == "" {
		return errors.New("no text")
	}
	return err
}

func communityClient() *community.Client {
	config := community.DefaultConfig(apiKey)
	config.BaseURL = baseURL
	return community.NewClientWithConfig(config)
}

func communityAsked(model string) community.ChatCompletionRequest {
	return community.ChatCompletionRequest{
		Model:    model,
		Messages: []community.ChatCompletionMessage{{Role: community.ChatMessageRoleUser, Content: "Say hello."}},
	}
}

func communityChat(model string) error {
	request := communityAsked(model)
	answer, err := communityClient().CreateChatCompletion(ctx, request)
	if err != nil {
		return err
	}
	request.Messages = append(request.Messages, answer.Choices[0].Message, request.Messages[0])
	_, err = communityClient().CreateChatCompletion(ctx, request)
	return err
}

func communityStream(model string) error {
	request := communityAsked(model)
	request.StreamOptions = &community.StreamOptions{IncludeUsage: true}
	stream, err := communityClient().CreateChatCompletionStream(ctx, request)
	if err != nil {
		return err
	}
	defer stream.Close()
	for used := false; ; {
		chunk, err := stream.Recv()
		if err != nil && used {
			return nil
		}
		if err != nil {
			return err
		}
		used = used || chunk.Usage != nil
	}
}

func communityStructured(model string) error {
	request := communityAsked(model)
	request.ResponseFormat = &community.ChatCompletionResponseFormat{
		Type: community.ChatCompletionResponseFormatTypeJSONSchema,
		JSONSchema: &community.ChatCompletionResponseFormatJSONSchema{
			Name:   "city",
			Strict: true,
			Schema: &jsonschema.Definition{
				Type:                 jsonschema.Object,
				Properties:           map[string]jsonschema.Definition{"name": {Type: jsonschema.String}},
				Required:             []string{"name"},
				AdditionalProperties: false,
			},
		},
	}
	answer, err := communityClient().CreateChatCompletion(ctx, request)
	if err != nil {
		return err
	}
	return hasName(answer.Choices[0].Message.Content)
}
