-- The end of scripts with a fast path, `plain`; `carefully` is the same without assumptions (see scripts.py).

local done, answer = pcall(plain)
if done and answer then return answer end
if not done then
    local text = type(answer) == 'table' and answer.err or tostring(answer)
    if not string.find(text, 'WRONGTYPE', 1, true) and not string.find(text, 'not an integer', 1, true) then
        error(answer, 0)
    end
end
return carefully()
