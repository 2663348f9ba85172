#include "cli/json.h"

namespace milgen::cli {
namespace {

Json place_of(const Context& context, const Place& place) {
  Json out;
  out["file"] = context.shown(place.file);
  out["line"] = place.line;
  out["column"] = place.column;
  return out;
}

}  // namespace

Json to_json(const Context& context, const Diagnostic& diagnostic) {
  Json out;
  out["id"] = diagnostic.id;
  out["severity"] = diagnostic.severity == Severity::error ? "error" : "warning";
  out["message"] = context.shown(diagnostic.message);
  out["place"] = place_of(context, diagnostic.place);
  out["notes"] = Json::array();
  for (const Note& note : diagnostic.notes) {
    Json entry;
    entry["message"] = context.shown(note.message);
    entry["place"] = place_of(context, note.place);
    out["notes"].push_back(std::move(entry));
  }
  return out;
}

Json to_json(const Context& context, const Diagnostics& diagnostics) {
  Json out = Json::array();
  for (const Diagnostic& diagnostic : diagnostics.all()) {
    out.push_back(to_json(context, diagnostic));
  }
  return out;
}

Json to_json(const Shape& shape) {
  Json out = Json::array();
  for (const std::int64_t dim : shape) out.push_back(dim);
  return out;
}

}  // namespace milgen::cli
