/* json_value FILE KEY...: prints what is in a JSON file under the keys, or indices of arrays; an array prints its length.
 * Fails when the file is no JSON or there is nothing. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
    FILE *file = count > 1 ? fopen(words[1], "r") : NULL;
    char *text = NULL;
    size_t capacity = 0;
    if (!file || getdelim(&text, &capacity, '\0', file) < 0) return 1;
    fclose(file);
    cJSON *json = cJSON_ParseWithOpts(text, NULL, 1), *at = json;
    for (int i = 2; i < count && at; i++)
        at = cJSON_IsArray(at) ? cJSON_GetArrayItem(at, atoi(words[i])) : cJSON_GetObjectItemCaseSensitive(at, words[i]);
    if (cJSON_IsString(at)) puts(at->valuestring);
    else if (cJSON_IsArray(at)) printf("%d\n", cJSON_GetArraySize(at));
    else if (at) {
        char *value = cJSON_PrintUnformatted(at);
        puts(value ? value : "");
        free(value);
    }
    int code = !at;
    cJSON_Delete(json);
    free(text);
    return code;
}
