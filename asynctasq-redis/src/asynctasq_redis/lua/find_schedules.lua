-- Return schedules by id, each as `schedule_row` returns it; '' for an unknown id. ARGV: ids.

local found = {}
for number, id in ipairs(ARGV) do found[number] = schedule_row(id) or '' end
return found
