#include "samplers/python/python_sampler.h"

#include <pybind11/eval.h>
#include <pybind11/pybind11.h>

#include <filesystem>

#include "lib/error.h"
#include "lib/files.h"
#include "lib/sha256.h"
#include "samplers/python/exchange.h"
#include "samplers/python/interpreter.h"

namespace py = pybind11;

namespace surprisal {
namespace {

constexpr size_t kMostBytes = 1 << 20;  // of a script

/// An object of Python's that may be dropped by any thread.
class Held {
 public:
  explicit Held(py::object object) : object_(std::move(object)) {}
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() {
    const py::gil_scoped_acquire lock;
    object_.release().dec_ref();
  }
  const py::object& get() const { return object_; }

 private:
  py::object object_;
};

py::object deep_copy(const py::object& object) {
  return py::module_::import("copy").attr("deepcopy")(object);
}

/// A request's own copy of the user's object.
struct PythonState : SamplerState {
  PythonState(py::object object, const std::string& file) : script(file), held(std::move(object)) {}
  std::unique_ptr<SamplerState> clone() const override {
    const py::gil_scoped_acquire lock;
    try {
      return std::make_unique<PythonState>(deep_copy(held.get()), script);
    } catch (py::error_already_set& raised) {
      throw script_error(raised, script);
    }
  }
  const std::string& script;
  Held held;
};

class PythonSampler : public Sampler {
  /// Holds the interpreter's lock while `call` runs; what the script raises becomes an Error.
  template <typename Call>
  auto in_python(Call call) const {
    const py::gil_scoped_acquire lock;
    try {
      return call();
    } catch (py::error_already_set& raised) {
      throw script_error(raised, script_);
    }
  }

 public:
  PythonSampler(std::string script, const std::string& name, const std::string& parameters,
                const Tokenizer* tokenizer)
      : script_(std::move(script)), tokenizer_(tokenizer) {
    start_python();
    const py::gil_scoped_acquire lock;
    try {
      py::dict module;
      module["__name__"] = "surprisal_sampler";
      module["__file__"] = script_;
      const py::object code = py::module_::import("builtins")
                                  .attr("compile")(read_file(script_, kMostBytes), script_, "exec");
      py::module_::import("builtins").attr("exec")(code, module);
      if (!module.contains(name.c_str()))
        throw Error(ErrorCode::kConfig, script_ + ": has no class '" + name + "'");
      const py::dict arguments = py::module_::import("json").attr("loads")(parameters);
      const py::object prototype = module[name.c_str()](**arguments);
      if (!py::hasattr(prototype, "decide"))
        throw Error(ErrorCode::kConfig, script_ + ": " + name + " has no decide(self, view)");
      observes_ = py::hasattr(prototype, "observe");
      needs_.attention = py::hasattr(prototype, "needs_attention") &&
                         prototype.attr("needs_attention").cast<bool>();
      prototype_ = std::make_unique<Held>(prototype);
    } catch (py::error_already_set& raised) {
      throw script_error(raised, script_);
    }
  }

  Needs needs() const override { return needs_; }

  std::unique_ptr<SamplerState> start() const override {
    return in_python(
        [&] { return std::make_unique<PythonState>(deep_copy(prototype_->get()), script_); });
  }

  Decision decide(const StepView& view, SamplerState* state, const Draws& draws) const override {
    return in_python([&] {
      const py::object answer = object_of(state).attr("decide")(python_view(view, draws));
      try {
        return decision_of(answer, view, tokenizer_);
      } catch (const Error& error) {
        throw Error(error.code(), script_ + ": " + error.what());
      } catch (const py::cast_error&) {
        throw Error(ErrorCode::kConfig, script_ + ": decide(): a value of the wrong type in " +
                                            py::repr(answer).cast<std::string>());
      }
    });
  }

  void observe(TokenId token, TokenSource source, SamplerState* state) const override {
    if (!observes_) return;
    in_python([&] {
      const std::string_view name = kSourceNames[static_cast<size_t>(source)];
      object_of(state).attr("observe")(token, py::str(name.data(), name.size()));
    });
  }

 private:
  static const py::object& object_of(SamplerState* state) {
    return static_cast<PythonState&>(*state).held.get();
  }
  std::string script_;
  const Tokenizer* tokenizer_;
  bool observes_ = false;
  Needs needs_;
  std::unique_ptr<Held> prototype_;
};

/// Where a script lies that a configuration names: beside it, or in the working directory.
std::string find_script(ParamReader& params) {
  const YAML::Node node = params.raw(
      "file", "string", "required: the script; relative to the configuration, else to here");
  if (params.is_describing()) return "";
  if (!node.IsDefined() || !node.IsScalar())
    throw params.error("file", "expected the path of a Python file");
  const std::filesystem::path named(node.Scalar());
  const std::filesystem::path beside = std::filesystem::path(params.file()).parent_path() / named;
  for (const auto& path : {beside, named})
    if (std::filesystem::is_regular_file(path)) return path.string();
  throw params.error("file", "no such file: '" + beside.string() + "'" +
                                 (beside == named ? "" : " or '" + named.string() + "'"));
}

Json plain_value(const YAML::Node& node) {
  if (node.IsMap()) {
    Json map = Json::object();
    for (const auto& entry : node) map[entry.first.as<std::string>()] = plain_value(entry.second);
    return map;
  }
  if (node.IsSequence()) {
    Json list = Json::array();
    for (const auto& entry : node) list.push_back(plain_value(entry));
    return list;
  }
  if (!node.IsScalar()) return nullptr;
  const bool quoted = node.Tag() == "!";
  int64_t whole = 0;
  double number = 0;
  bool flag = false;
  if (!quoted && YAML::convert<int64_t>::decode(node, whole)) return whole;
  if (!quoted && YAML::convert<double>::decode(node, number)) return number;
  if (!quoted && YAML::convert<bool>::decode(node, flag)) return flag;
  return node.Scalar();
}

}  // namespace

SamplerEntry python_sampler_entry() {
  return {"a class in a Python file; slow: a copy of the row and a call into Python for each token",
          [](ParamReader& params, const SamplerContext& context) -> std::unique_ptr<Sampler> {
            const std::string script = find_script(params);
            const std::string name = params.string("class", "Sampler", "the class that decides");
            const YAML::Node given = params.raw(
                "parameters", "map", "keyword arguments of the class: numbers, strings, lists");
            if (params.is_describing()) return nullptr;
            const Json parameters = given.IsDefined() ? plain_value(given) : Json::object();
            if (!parameters.is_object()) throw params.error("parameters", "expected a map");
            params.set_resolved("parameters", parameters);
            params.set_resolved("sha256", sha256_file(script));  // of the script: its identity
            return std::make_unique<PythonSampler>(script, name, parameters.dump(),
                                                   context.tokenizer);
          }};
}

}  // namespace surprisal
