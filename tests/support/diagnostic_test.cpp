#include "milgen/diagnostic.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "support/diagnostic_ids.h"
#include "support/printable.h"
#include "support/temporary_folder.h"

namespace milgen {
namespace {

std::string rendered(const Diagnostic& diagnostic, const TemporaryFolder& folder) {
  return render(diagnostic, {.source_lines = true, .source_root = folder.path().string()});
}

TEST_CASE("ids are sorted, unique and of the form noun.rule") {
  std::string_view before;
  for (const DiagnosticInfo& info : diagnostic_ids()) {
    CAPTURE(info.id);
    CHECK(before < info.id);
    CHECK(info.id.find('.') != std::string_view::npos);
    CHECK(info.id.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") ==
          std::string_view::npos);
    CHECK_FALSE(info.meaning.empty());
    CHECK(info.meaning.back() != '.');
    before = info.id;
  }
}

TEST_CASE("a sink keeps order and counts") {
  Diagnostics sink;
  CHECK(sink.empty());
  sink.warning("io.order", "one");
  sink.error("arg.kind", "two").notes.push_back({"a note", {}});
  CHECK(sink.warnings() == 1);
  CHECK(sink.errors() == 1);
  sink.append(sink);
  CHECK(sink.all().size() == 4);
  CHECK(sink.errors() == 2);
  CHECK(sink.all()[3].notes[0].message == "a note");
  CHECK(render(sink, {.source_lines = false, .source_root = ""}) ==
        "warning: one [io.order]\nerror: two [arg.kind]\nnote: a note\n"
        "warning: one [io.order]\nerror: two [arg.kind]\nnote: a note\n");
  sink.clear();
  CHECK(sink.empty());
  CHECK_FALSE(sink.has_errors());
}

TEST_CASE("the source line stands under the place, notes have theirs") {
  const TemporaryFolder folder;
  folder.write("k.cpp", "int a;\n  auto wv = weight();\n\tauto v = conv(n, wv);\r\nlast");
  Diagnostic diagnostic{"conv.channels",
                        Severity::error,
                        "conv: x has 768 channels",
                        Place("k.cpp", 3),
                        {{"weight 'wv' is made here", Place("k.cpp", 2)}}};
  CHECK(rendered(diagnostic, folder) ==
        "k.cpp:3: error: conv: x has 768 channels [conv.channels]\n"
        "     3 | auto v = conv(n, wv);\n"
        "k.cpp:2: note: weight 'wv' is made here\n"
        "     2 | auto wv = weight();\n");
  diagnostic.notes.clear();
  diagnostic.place = Place("k.cpp", 4);
  CHECK(rendered(diagnostic, folder) ==
        "k.cpp:4: error: conv: x has 768 channels [conv.channels]\n     4 | last\n");
  diagnostic.place = Place("k.cpp", 5);
  CHECK(rendered(diagnostic, folder) ==
        "k.cpp:5: error: conv: x has 768 channels [conv.channels]\n");
  diagnostic.place = Place("none.cpp", 1);
  CHECK(rendered(diagnostic, folder) ==
        "none.cpp:1: error: conv: x has 768 channels [conv.channels]\n");
  diagnostic.place = Place("k.cpp");
  CHECK(rendered(diagnostic, folder) == "k.cpp: error: conv: x has 768 channels [conv.channels]\n");
}

TEST_CASE("a column has a caret, under tabs and beyond ASCII too") {
  const TemporaryFolder folder;
  folder.write("a.mil", "  x = add\ty;\n\xC3\xA4\xC3\xB6 z\n\x1B[31mred\n");
  Diagnostic diagnostic{"arg.kind", Severity::warning, "m", Place("a.mil", 1, 7, 3), {}};
  CHECK(rendered(diagnostic, folder) ==
        "a.mil:1:7: warning: m [arg.kind]\n"
        "     1 | x = add\ty;\n"
        "       |     ^~~\n");
  diagnostic.place = Place("a.mil", 1, 11, 0);
  CHECK(rendered(diagnostic, folder) ==
        "a.mil:1:11: warning: m [arg.kind]\n"
        "     1 | x = add\ty;\n"
        "       |        \t^\n");
  diagnostic.place = Place("a.mil", 1, 1, 99);
  CHECK(rendered(diagnostic, folder) ==
        "a.mil:1:1: warning: m [arg.kind]\n"
        "     1 |   x = add\ty;\n"
        "       | ^~~~~~~~~~~~\n");
  diagnostic.place = Place("a.mil", 1, 4000000000u, 4000000000u);
  CHECK(rendered(diagnostic, folder) ==
        "a.mil:1:4000000000: warning: m [arg.kind]\n"
        "     1 | x = add\ty;\n"
        "       |        \t  ^\n");
  diagnostic.place = Place("a.mil", 2, 6, 1);
  CHECK(rendered(diagnostic, folder) ==
        "a.mil:2:6: warning: m [arg.kind]\n"
        "     2 | \xC3\xA4\xC3\xB6 z\n"
        "       |    ^\n");
  diagnostic.place = Place("a.mil", 3);
  CHECK(rendered(diagnostic, folder) == "a.mil:3: warning: m [arg.kind]\n     3 | ?[31mred\n");
}

TEST_CASE("long lines show a window around the column") {
  const TemporaryFolder folder;
  folder.write("long.mil", std::string(5000, 'a') + "HERE" + std::string(5000, 'b'));
  Diagnostic diagnostic{"arg.kind", Severity::error, "m", Place("long.mil", 1, 5001, 4), {}};
  CHECK(rendered(diagnostic, folder) ==
        "long.mil:1:5001: error: m [arg.kind]\n"
        "     1 | ..." +
            std::string(100, 'a') + "HERE" + std::string(96, 'b') +
            "...\n"
            "       |    " +
            std::string(100, ' ') + "^~~~\n");
  diagnostic.place = Place("long.mil", 1);
  CHECK(rendered(diagnostic, folder) ==
        "long.mil:1: error: m [arg.kind]\n     1 | " + std::string(200, 'a') + "...\n");
  diagnostic.place = Place("long.mil", 1, 10004, 1);
  CHECK(rendered(diagnostic, folder) == "long.mil:1:10004: error: m [arg.kind]\n     1 | ..." +
                                            std::string(200, 'b') + "\n       |    " +
                                            std::string(199, ' ') + "^\n");
}

TEST_CASE("ten thousand diagnostics in one file read it once") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 10000; ++i) text += "line of some length that is repeated\n";
  folder.write("big.mil", text);
  Diagnostics sink;
  for (std::uint32_t i = 1; i <= 10000; ++i) sink.error("arg.kind", "m", Place("big.mil", i, 3, 2));
  const auto begin = std::chrono::steady_clock::now();
  const std::string out =
      render(sink, {.source_lines = true, .source_root = folder.path().string()});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  CHECK(out.size() > 10000 * 60);
  // Reading the file each time would be 3.7 GB.
  CHECK(took.count() < 2);
}

TEST_CASE("names from outside are made printable and short") {
  CHECK(printable("wq") == "wq");
  CHECK(printable("a\x1B[1m\nb") == "a?[1m?b");
  CHECK(printable(std::string(200, 'x')) == std::string(100, 'x') + "...");
}

}  // namespace
}  // namespace milgen
