/*
 * Tables: columns as wide as what is in them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "output.h"

/* What is wider moves the rest of its own row only. */
#define MAX_WIDTH 60

typedef struct Cell {
    Colour colour;
    char *text; /* safe */
} Cell;

struct Table {
    const char *const *headings;
    unsigned n_columns;
    GArray *cells; /* of Cell, row by row */
};

static void cell_clear(void *cell)
{
    g_free(((Cell *)cell)->text);
}

Table *table_new(const char *const *headings)
{
    Table *table = g_new0(Table, 1);

    table->headings = headings;
    table->n_columns = g_strv_length((char **)headings);
    table->cells = g_array_new(false, false, sizeof(Cell));
    g_array_set_clear_func(table->cells, cell_clear);
    return table;
}

void table_free(Table *table)
{
    if (table) {
        g_array_unref(table->cells);
        g_free(table);
    }
}

void table_add(Table *table, Colour colour, char *text)
{
    Cell cell = {.colour = colour, .text = output_safe(text ? text : "-")};

    g_free(text);
    g_array_append_val(table->cells, cell);
}

static int text_width(const char *text)
{
    int width = 0;

    for (; *text; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char(text);

        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

static int column_width(const Table *table, unsigned column)
{
    int width = text_width(table->headings[column]);

    for (guint i = column; i < table->cells->len; i += table->n_columns) {
        const Cell *cell = &g_array_index(table->cells, Cell, i);

        if (text_width(cell->text) <= MAX_WIDTH) {
            width = MAX(width, text_width(cell->text));
        }
    }
    return width;
}

static void print_cell(const Table *table, const int *widths, unsigned column,
                       Colour colour, const char *text)
{
    output_text(colour, text);
    if (column + 1 == table->n_columns) {
        putchar('\n');
    } else {
        printf("%*s", MAX(widths[column] - text_width(text), 0) + 2, "");
    }
}

void table_print(const Table *table)
{
    g_autofree int *widths = g_new(int, table->n_columns);

    for (unsigned i = 0; i < table->n_columns; i++) {
        widths[i] = column_width(table, i);
    }
    for (unsigned i = 0; i < table->n_columns; i++) {
        print_cell(table, widths, i, COLOUR_DIM, table->headings[i]);
    }
    for (guint i = 0; i < table->cells->len; i++) {
        const Cell *cell = &g_array_index(table->cells, Cell, i);

        print_cell(table, widths, i % table->n_columns, cell->colour,
                   cell->text);
    }
}
