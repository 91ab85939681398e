#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <iomanip>
#include <sstream>

#include "models/device.h"
#include "models/model.h"
#include "tools/bench/decoding.h"
#include "tools/bench/roof.h"
#include "tools/program.h"

namespace surprisal::bench {
namespace {

struct Options {
  std::string folder, statistics = "summary";
  // What llama.cpp and others call 16 bits, and the fastest on every CPU.
  ModelOptions model{.dtype = "bfloat16", .device = "cpu"};
  DecodingJob job;
  int threads = 0, repeats = 3;
  bool json = false, jobs = false;
};

/// Of several repeats.
struct Spread {
  double least, median, most;
};

Spread spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {values.front(), values[values.size() / 2], values.back()};
}

Json to_json(const Spread& s) {
  return {{"median", s.median}, {"min", s.least}, {"max", s.most}};
}

Json to_json(const Roof& roof) {
  return {{"bytes_per_second", roof.read_bytes_per_second},
          {"flops_per_second", roof.flops_per_second},
          {"bfloat16_flops_per_second", roof.bfloat16_flops_per_second}};
}

/// The least time a step can take, by the roof that binds it.
double floor_seconds(const StepWork& work, const Roof& roof, bool bfloat16) {
  const double rate = bfloat16 ? roof.bfloat16_flops_per_second : roof.flops_per_second;
  const double arithmetic =
      work.product_flops / rate + work.attention_flops / roof.flops_per_second;
  return std::max(arithmetic, work.bytes / roof.read_bytes_per_second);
}

/// Repeats of one job, with the machine's roofs measured after each.
Json measure(const Model& model, const Options& options) {
  const DecodingJob& job = options.job;
  const bool on_cpu = model.device().is_cpu();
  std::vector<double> prefill, decoding, fast_step, bytes, memory_share, memory_roof, floor_share,
      fast_share;
  Json last;
  for (int i = 0; i < options.repeats; ++i) {
    const DecodingResult result = decode(model, job);
    const auto steps = static_cast<double>(job.decode), batch = static_cast<double>(job.batch);
    prefill.push_back(batch * static_cast<double>(job.prompt) / result.prefill_seconds);
    decoding.push_back(batch * steps / result.decode_seconds);
    fast_step.push_back(result.fast_step_seconds);
    bytes.push_back(result.work.bytes * steps / result.decode_seconds);
    last = to_json(result);
    if (!on_cpu) continue;
    const Roof roof = measure_roof(at::get_num_threads());
    memory_roof.push_back(roof.read_bytes_per_second);
    memory_share.push_back(bytes.back() / roof.read_bytes_per_second);
    const double floor = floor_seconds(result.work, roof, model.dtype() == at::kBFloat16);
    floor_share.push_back(floor * steps / result.decode_seconds);
    fast_share.push_back(floor / result.fast_step_seconds);
  }
  const Placement placement = choose_placement(model.config(), options.model);
  Json json = {{"model", std::filesystem::path(options.folder).filename()},
               {"device", model.device().str()},
               {"dtype", dtype_name(model.dtype())},
               {"kernels", placement.kernels},
               {"threads", at::get_num_threads()},
               {"batch", job.batch},
               {"prompt", job.prompt},
               {"decode", job.decode},
               {"statistics", options.statistics},
               {"repeats", options.repeats},
               {"prefill_tokens_per_second", to_json(spread(prefill))},
               {"decode_tokens_per_second", to_json(spread(decoding))},
               {"fast_step_seconds", to_json(spread(fast_step))},
               {"decode_bytes_per_second", to_json(spread(bytes))},
               {"weight_bytes", last["weight_bytes"]},
               {"cache_bytes", last["cache_bytes"]},
               {"peak_bytes", last["peak_bytes"]}};
  if (on_cpu) {
    json["memory_roof_bytes_per_second"] = to_json(spread(memory_roof));
    json["share_of_memory_roof"] = to_json(spread(memory_share));
    json["share_of_floor_speed"] = to_json(spread(floor_share));
    json["fast_step_share_of_floor_speed"] = to_json(spread(fast_share));
  }
  return json;
}

std::string text(const Json& s, int digits, double unit = 1) {
  const auto number = [&](const char* key) { return s.at(key).get<double>() / unit; };
  std::ostringstream out;
  out << std::fixed << std::setprecision(digits) << number("median") << " [" << number("min")
      << ", " << number("max") << "]";
  return out.str();
}

void print(const Json& m) {
  const auto word = [&](const char* key) { return m.at(key).get<std::string>(); };
  std::cout << word("model") << ", " << word("dtype") << " on " << word("device") << " ("
            << word("kernels") << "), " << m["threads"] << " threads; batch " << m["batch"]
            << ", prompt " << m["prompt"] << ", " << m["decode"]
            << " tokens decoded, statistics: " << word("statistics") << "; median [range] of "
            << m["repeats"] << "\n";
  std::cout << "prefill  " << text(m["prefill_tokens_per_second"], 1) << " tokens/s\n";
  std::cout << "decode   " << text(m["decode_tokens_per_second"], 1) << " tokens/s\n";
  std::cout << "step     " << text(m["fast_step_seconds"], 2, 1e-3)
            << " ms: a tenth of the steps are faster\n";
  std::cout << "reads    " << text(m["decode_bytes_per_second"], 1, 1e9)
            << " GB/s of weights and cache while decoding\n";
  if (!m.contains("share_of_memory_roof")) return;
  std::cout << "         " << text(m["share_of_memory_roof"], 2) << " of the memory roof, "
            << text(m["memory_roof_bytes_per_second"], 1, 1e9) << " GB/s\n";
  std::cout
      << "floor    " << text(m["share_of_floor_speed"], 2)
      << " of the speed that arithmetic and memory, whichever takes longer, allow; a tenth of "
         "the steps "
      << text(m["fast_step_share_of_floor_speed"], 2) << " or more\n";
}

Json answer(const Json& line, const Model& model) {
  if (line.value("roof", false)) return to_json(measure_roof(at::get_num_threads()));
  return to_json(decode(model, decoding_job(line)));
}

void define(CLI::App& app, Options& options) {
  app.add_option("model", options.folder, "Hugging Face model folder")->required();
  app.add_option("--batch", options.job.batch, "sequences that are decoded together")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--prompt", options.job.prompt, "tokens of each prompt")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--decode", options.job.decode, "tokens that follow")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--statistics", options.statistics,
                 "of attention, computed at every token: none, summary, heads (those of the heads "
                 "are what a summary is made of: both cost the same)")
      ->capture_default_str()
      ->check(CLI::IsMember({"none", "summary", "heads"}));
  app.add_option("--repeats", options.repeats, "of the whole, for the range")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--threads", options.threads, "of the CPU; default: all")
      ->check(CLI::Range(1, 4096));
  app.add_option("--device", options.model.device, "cpu, cuda, cuda:N, auto")
      ->capture_default_str();
  app.add_option("--dtype", options.model.dtype, "bfloat16, float32, float16, int8 (weights only)")
      ->capture_default_str();
  app.add_flag("--reference", options.model.reference, "the plain ATen implementation");
  app.add_flag("--json", options.json, "one JSON object instead of text");
  app.add_flag("--jobs", options.jobs,
               "read jobs from standard input and answer each with a line of JSON, to take turns "
               "with other engines: {\"batch\": 16, \"prompt\": 128, \"decode\": 64, "
               "\"statistics\": true, \"alternate\": false} (alternate: statistics at every other "
               "step) or {\"roof\": true}");
}

int run(Options& options) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  options.job.statistics = options.statistics != "none";
  const auto model = load_model(options.folder, options.model);
  decode(*model, {.prompt = 16, .decode = 2});  // packs the weights, touches the memory
  if (!options.jobs) {
    const Json measured = measure(*model, options);
    options.json ? void(std::cout << dump_line(measured) << std::endl) : print(measured);
    return 0;
  }
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer(parse_json(line, "standard input"), *model) << std::endl;
  return 0;
}

}  // namespace
}  // namespace surprisal::bench

int main(int argc, char** argv) {
  surprisal::bench::Options options;
  return surprisal::run_program(
      argc, argv,
      "Times prefill and greedy decoding with attention statistics, beside what this machine's "
      "memory and arithmetic allow at best.",
      [&](CLI::App& app) { surprisal::bench::define(app, options); },
      [&] { return surprisal::bench::run(options); });
}
